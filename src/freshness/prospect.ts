/**
 * How a request would be answered. `hit`: by a committed entry; `join`: by the fill that runs; `gather`: by the fill after
 * that. All others by a fill, because: `unsettled`: the state cannot be named now; `nothing-kept`; `changed`: the entry is of
 * another state; `outdated`: it is too old, or from before a lease ended or the repository was invalidated.
 */
export type Prospect = 'hit' | 'join' | 'gather' | 'unsettled' | 'nothing-kept' | 'changed' | 'outdated'
