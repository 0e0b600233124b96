import { expect, it } from 'vitest'
import type { Checks } from '@/api/backtests'
import { run } from '@/testing/samples'
import { columnNames, findings, trust } from './verdicts'

/** Without the no-break spaces of French figures. */
const plain = (text: string | undefined) => text?.replace(/[\u00A0\u202F]/g, ' ')
const difference = (column: string) => ({ column, bar: 1, time_ms: 0, whole: 1, seen: 2, relative_gap: 0.5 })
const checked = (over: Partial<Checks>) => run({ checks: { ...run().checks!, ...over } })

it('says one thing of a clean run, and that it can be believed', () => {
  expect(findings(run()).map((one) => one.title)).toEqual(['Aucun biais d’anticipation'])
  expect(trust(run())).toBe('ok')
})

it('names the column that reads the future, before anything else, with what to look for', () => {
  const biased = checked({
    look_ahead: { verdict: 'biased', columns: [difference('zscore'), difference('zscore')], bars_checked: 200, prefixes_checked: 16, reason: '' },
    ambiguous_candles: { count: 7, decided: 0, worst: '14862.31', best: '14901.11' },
  })
  const [first, second] = findings(biased)
  expect(first).toMatchObject({ tone: 'bad', title: 'Biais d’anticipation' })
  expect(first?.text).toContain('« zscore » change')
  expect(first?.todo).toContain('shift négatif')
  expect(plain(second?.text)).toContain('entre 14 862,31 et 14 901,11 USDT')
  expect(trust(biased)).toBe('bad')
})

it('does not call proven what is not: without a check the run is to be read with care', () => {
  expect(findings(run({ checks: null }))[0]).toMatchObject({ tone: 'warn', title: 'Causalité non prouvée' })
  expect(trust(run({ checks: null }))).toBe('warn')
})

it('counts the missing candles, and refuses to be calm under 99 %', () => {
  const holed = (present: number) => findings(checked({ coverage: { ratio: present / 1000, present, expected: 1000, hole_count: 2, holes: [], verified: true } }))[1]
  expect(plain(holed(995)?.title)).toBe('Couverture 99,50 %')
  expect(holed(995)?.tone).toBe('warn')
  expect(plain(holed(995)?.text)).toContain('5 bougies manquent en 2 trous')
  expect(holed(900)?.tone).toBe('bad')
})

it('says that few trades judge nothing, without calling them bad', () => {
  const second = findings(run({ total_trades: 4 }))[1]
  expect([second?.tone, plain(second?.title)]).toEqual(['neutral', 'Échantillon trop petit : 4 trades'])
  expect(findings(run({ total_trades: 0 }))).toHaveLength(1)
  expect(findings(run({ total_trades: 30 }))).toHaveLength(1)
})

it('forbids no long average: it says how far a bot sees it from a chart, and what equals it', () => {
  const found = findings(checked({ window: { verdict: 'too_short', size: 500, columns: [{ ...difference('ema200'), relative_gap: 0.0034 }] } }))[1]
  expect(found?.tone).toBe('neutral')
  expect(plain(found?.text)).toContain('« ema200 » s’en rappelle davantage : sa valeur s’écarte de celle d’un graphique, ici de 0,34 % au plus')
  expect(found?.todo).toContain('Rien n’est interdit')
})

it('names four columns at most', () => {
  expect(plain(columnNames(['a', 'b', 'c', 'd', 'e', 'f'].map(difference)))).toBe('a, b, c, d et 2 autres')
})
