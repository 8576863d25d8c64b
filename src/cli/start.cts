/* In a file of its own because a Node that does not know `import()` cannot read it. */
void import('./main.js')
