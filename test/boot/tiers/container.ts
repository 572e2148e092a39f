import { bootTier } from '../tier.js'

bootTier('container')
