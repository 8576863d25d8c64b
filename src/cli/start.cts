/* In a file of its own, since a Node without `import()` cannot parse it. The build makes this program of main.ts. */
const program: string = '../program/command.js'
void import(program)
