#!/usr/bin/env node
// First, since an old Node may not be able to parse the modules imported below.
import './node-floor.cjs'

void import('./command.js')
