#!/usr/bin/env node
/* The command `refstream`. CommonJS and this short, so that a Node that is too old reaches the message of node-floor. */
require('./node-floor.cjs')
require('./start.cjs')
