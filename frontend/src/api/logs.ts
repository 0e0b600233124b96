/** The terminals' lines, and the steps of a trace from its signal to its last fill (backend app `journal`). */
import { answer, api, type Schemas } from './client'

export type LogLine = Schemas['LogLine']
export type LogLevel = LogLine['level']
export type LogPage = Schemas['LogPage']
export type Trace = Schemas['Trace']
export type TraceStep = Schemas['TraceStep']

export interface LogFilter {
  terminal: string
  level: LogLevel
  /** Only orders, decisions with an action, alerts and errors. */
  matters: boolean
  text: string
  trace: string
}

/** The newest lines that the filter lets through; older than `before` when it is given. */
export const fetchLogs = (filter: LogFilter, before: string | null = null): Promise<LogPage> =>
  answer(
    api.GET('/api/logs/', {
      params: {
        query: {
          level: filter.level,
          matters: filter.matters || undefined,
          terminal: filter.terminal ? [filter.terminal as 'web'] : undefined,
          text: filter.text || undefined,
          trace: filter.trace || undefined,
          before: before ?? undefined,
        },
      },
    }),
  )
export const fetchTrace = (id: string): Promise<Trace> => answer(api.GET('/api/logs/traces/{id}/', { params: { path: { id } } }))
