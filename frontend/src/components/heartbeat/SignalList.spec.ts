import { cleanup, render, screen, within } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import { candle } from '@/testing/samples'
import { mergeCandles } from '@/utils/rows'
import SignalList from './SignalList.vue'
import TimeframeCard from './TimeframeCard.vue'

afterEach(cleanup)

const common = { timeframe: '1m' as const, incidents: [], digits: 2 }
const plugins = () => ({ plugins: [createPinia()] })

function list(count: number, late = -1) {
  const rows = Array.from({ length: count }, (_, index) => candle(index, { is_late: index === late }))
  return render(SignalList, { props: { ...common, candles: mergeCandles([], rows, false), next: 'à 16:00' }, global: plugins() })
}

it('marks a late signal outside the columns that must line up', () => {
  list(3, 1)
  const lines = within(screen.getByRole('list', { name: 'Signaux 1m' })).getAllByRole('listitem')
  const mark = within(lines[1]).getByRole('img', { name: 'signal tardif' })
  expect(mark.closest('span')).toBeNull()
  expect([...lines[1].querySelectorAll('span')].at(-1)?.textContent).toBe([...lines[0].querySelectorAll('span')].at(-1)?.textContent)
  expect(screen.getAllByRole('img')).toHaveLength(1)
})

it('says under a short list when the next candle comes, and not under a full one', () => {
  const { unmount } = list(2)
  expect(screen.getByText(/2.bougies 1m en base,\s*la prochaine à 16:00/)).toBeDefined()
  unmount()
  list(20)
  expect(screen.queryByText(/la prochaine/)).toBeNull()
})

it('says when the first candle comes', () => {
  const marketNow = Date.parse('2026-11-22T15:59:12Z')
  render(TimeframeCard, { props: { ...common, candles: [], marketNow }, global: plugins() })
  expect(screen.getByText(/La première s’inscrira à 16:00/)).toBeDefined()
})
