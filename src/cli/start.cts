/* In a file of its own, since a Node without `import()` cannot parse it. */
void import('./main.js')
