/** The library's module, which the coordinator serves beside ours. */
export { default } from 'uplot';
