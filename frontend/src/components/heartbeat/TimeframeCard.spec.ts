import { createPinia, setActivePinia } from 'pinia'
import { shallowMount } from '@vue/test-utils'
import { beforeEach, expect, it } from 'vitest'
import type { CandleRow } from '@/api/core'
import { candle } from '@/testing/samples'
import { mergeCandles } from '@/utils/rows'
import TimeframeCard from './TimeframeCard.vue'

beforeEach(() => setActivePinia(createPinia()))

const closed = mergeCandles([], [candle(0, { close: '43430.86' })], true)
const show = (forming?: CandleRow) =>
  shallowMount(TimeframeCard, { props: { timeframe: '1m', candles: closed, forming, incidents: [], digits: 2, marketNow: Date.parse(closed[0].close_time) + 5_000 } })

it('shows the candle that the countdown closes, at the market’s price', () => {
  const card = show(candle(1, { close: '42484.00' }))
  expect(card.find('header').text()).toContain('clôture dans')
  expect(card.find('dl').attributes('title')).toBe('Bougie en cours')
  expect(card.find('dl').text()).toMatch(/42\s484,00/)
})

it('says that it shows the last closed candle until the next one has traded', () => {
  const card = show()
  expect(card.find('header').text()).toContain('clôturée, suivante')
  expect(card.find('dl').text()).toMatch(/43\s430,86/)
})
