/** Users' strategies (backend app `strategies`). */
import { answerAll, api, type Schemas } from './client'

export type Strategy = Schemas['Strategy']

export const fetchStrategies = (): Promise<Strategy[]> => answerAll((query) => api.GET('/api/strategies/', { params: { query } }))
