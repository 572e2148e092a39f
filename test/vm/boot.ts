import { bootTier } from '../machine/tier.js'

bootTier('vm')
