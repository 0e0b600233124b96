import { expect, it } from 'vitest'
import { parityWord, wishText, type ParitySummary } from './parity'

const run = (over: Partial<ParitySummary> = {}): ParitySummary => ({
  id: 1, bot: 1, day: '2026-11-21', status: 'done', is_complete: true, checked: 312, differing: 0, unverifiable: 0, reason: '',
  asked_at: '2026-11-22T00:00:00Z', done_at: '2026-11-22T00:00:03Z', ...over,
})

it('says that live and replay agree, and over how many decisions', () => {
  expect(parityWord(run())).toEqual({ text: 'Identique au rejeu (312\u00A0décisions)', tone: 'ok' })
  expect(parityWord(run({ checked: 0 })).text).toBe('Rien à rejouer le 26.11.21')
})

it('warns about differences and about a replay that failed', () => {
  expect(parityWord(run({ differing: 1 }))).toEqual({ text: '1\u00A0écart avec le rejeu du 26.11.21', tone: 'warn' })
  expect(parityWord(run({ status: 'failed' })).tone).toBe('warn')
  expect(parityWord(null).text).toBe('Pas encore rejoué')
})

it('tells what a strategy wanted', () => {
  expect(wishText({ should_long: true, should_short: false, position_size: '1000.5' })).toBe('acheter, taille 1\u202F000,5')
  expect(wishText({ should_long: false, should_short: false })).toBe('attendre')
  expect(wishText({ error: 'KeyError' })).toBe('erreur : KeyError')
  expect(wishText(null)).toBe('rien de rejouable')
})
