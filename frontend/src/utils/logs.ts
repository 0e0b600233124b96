import type { LogFilter, LogLevel, LogLine } from '@/api/logs'

export const LEVELS: LogLevel[] = ['info', 'warning', 'error']
export const LEVEL_WORDS: Record<LogLevel, { label: string; tone: string }> = {
  info: { label: 'Info', tone: '' },
  warning: { label: 'Attention', tone: 'warn' },
  error: { label: 'Erreur', tone: 'bad' },
}
/** What one wants to read, from a trader's concerns to every line. */
export const VIEWS: { name: string; help: string; level: LogLevel; matters: boolean }[] = [
  { name: 'L’essentiel', help: 'Ordres, décisions suivies d’une action, alertes, avertissements et erreurs', level: 'info', matters: true },
  { name: 'Tout', help: 'Chaque ligne, signaux compris', level: 'info', matters: false },
  { name: 'Attention et erreurs', help: 'Avertissements et erreurs', level: 'warning', matters: false },
  { name: 'Erreurs', help: 'Erreurs seulement', level: 'error', matters: false },
]
const TERMINALS: Record<string, string> = {
  web: 'Serveur web',
  heartbeat: 'Heartbeat',
  heartbeat_secondary: 'Heartbeat secondaire',
  trading_engine: 'Moteur de trading',
  ccxt_service: 'Service CCXT',
  manage: 'Commandes',
}
/** For the list to choose from: the reka select takes no empty value. */
export const ALL = 'all'
export const TERMINAL_OPTIONS = [
  { value: ALL, label: 'Tous les services' },
  ...Object.entries(TERMINALS).map(([value, label]) => ({ value, label })),
]
export const MOST_LINES = 1000

export const terminalLabel = (terminal: string): string => TERMINALS[terminal] ?? terminal

/** What a line still says, as `name valeur` pairs; long values are cut. */
export function factsText(facts: Record<string, unknown>): string {
  return Object.entries(facts)
    .filter(([name, value]) => name !== 'exception' && value !== null && value !== '')
    .map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
    .join(' · ')
}

const signalOf = (trace: string): string => /^(.+)\.bot\d+$/.exec(trace)?.[1] ?? ''

/** Whether a line that just came belongs to what is on screen; the server says the same of older ones. */
export function isWanted(line: LogLine, filter: LogFilter): boolean {
  if (filter.terminal && line.terminal !== filter.terminal) return false
  if (LEVELS.indexOf(line.level) < LEVELS.indexOf(filter.level)) return false
  if (filter.matters && !line.matters) return false
  if (filter.trace) {
    const isOfTrace = line.trace_id ? line.trace_id === filter.trace : signalOf(filter.trace) !== '' && line.facts.signal_id === signalOf(filter.trace)
    if (!isOfTrace) return false
  }
  return !filter.text || JSON.stringify(line).toLocaleLowerCase().includes(filter.text.toLocaleLowerCase())
}

/** Puts a batch (oldest first) on top of the lines, newest first, none twice, and no more than can be shown. */
export function pushed(lines: LogLine[], batch: LogLine[]): LogLine[] {
  const known = new Set(lines.map((line) => line.id))
  const fresh = batch.filter((line) => !known.has(line.id)).reverse()
  return fresh.length ? [...fresh, ...lines].slice(0, MOST_LINES) : lines
}

/** A delay as its size wants it: `0,4 ms` matters where `3 min` does too. */
export function delayText(ms: number): string {
  if (ms < 1) return `${ms.toFixed(1).replace('.', ',')} ms`
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1).replace('.', ',')} s`
  const minutes = Math.floor(ms / 60_000)
  return minutes < 60 ? `${minutes} min ${String(Math.round((ms % 60_000) / 1000)).padStart(2, '0')}` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')}`
}
