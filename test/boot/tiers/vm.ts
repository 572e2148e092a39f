import { bootTier } from '../tier.js'

bootTier('vm')
