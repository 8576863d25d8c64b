#!/usr/bin/env node
// Before all else: what is imported below may be more than an old Node understands.
import './node-floor.cjs'

void import('./command.js')
