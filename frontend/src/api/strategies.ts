/** Users' strategies (backend app `strategies`). */
import { getAll } from './client'
import type { Timeframe } from './core'

export interface Strategy {
  id: number
  name: string
  description: string
  code: string
  timeframe: Timeframe
  created_at: string
  updated_at: string
}

export const fetchStrategies = (): Promise<Strategy[]> => getAll('/api/strategies/')
