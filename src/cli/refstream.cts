#!/usr/bin/env node
/* The command `refstream`. CommonJS, and no more than this, so that a Node that is too old gets as far as being told so. */
require('./node-floor.cjs')
require('./start.cjs')
