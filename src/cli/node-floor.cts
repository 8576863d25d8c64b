/*
 * Ends the program with one line if Node is too old for the rest of it. Every version of Node must be able to parse this
 * file, so it is CommonJS, imports nothing, and uses the JavaScript of 2009.
 */
;(function () {
  // package.json, engines.
  var needed = [20, 18, 1]
  var given = process.versions.node.split('.')
  for (var index = 0; index < needed.length; index++) {
    // The last number may have a suffix: 1-nightly.
    var number = parseInt(given[index]!, 10)
    if (number > needed[index]!) return
    if (number < needed[index]!) break
    if (index === needed.length - 1) return
  }
  process.stderr.write(
    'refstream needs Node ' +
      needed.join('.') +
      ' or newer; this is ' +
      process.versions.node +
      ', ' +
      process.execPath +
      '\n',
  )
  process.exit(2)
})()
