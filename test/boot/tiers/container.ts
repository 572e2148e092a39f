import { bootTier } from '../tier.js'

await bootTier('container')
