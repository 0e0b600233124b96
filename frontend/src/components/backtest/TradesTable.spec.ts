import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { runTrade } from '@/testing/samples'
import TradesTable from './TradesTable.vue'

// A page without layout has no heights: the list is given those of twenty rows.
beforeEach(() => {
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(560)
  vi.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockReturnValue(1000)
})
afterEach(cleanup)

async function show(trades: ReturnType<typeof runTrade>[]) {
  const shown = render(TradesTable, { props: { trades, quote: 'USDT', selected: null }, global: { plugins: [createPinia()] } })
  await waitFor(() => expect(numbers().length).toBeGreaterThan(0))
  return shown
}
const numbers = () => screen.getAllByRole('row').slice(1).filter((row) => row.hasAttribute('data-index')).map((row) => within(row).getAllByRole('cell')[0]?.textContent)

it('orders money as money, not as text, and says which way', async () => {
  await show([runTrade(1, { profit: '9.5' }), runTrade(2, { profit: '-30' }), runTrade(3, { profit: '100' })])
  expect(numbers(), 'newest first').toEqual(['3', '2', '1'])
  await fireEvent.click(screen.getByRole('button', { name: 'Gain net' }))
  expect(numbers()).toEqual(['3', '1', '2'])
  expect(screen.getByRole('columnheader', { name: 'Gain net' }).getAttribute('aria-sort')).toBe('descending')
  await fireEvent.click(screen.getByRole('button', { name: 'Gain net' }))
  expect(numbers()).toEqual(['2', '1', '3'])
})

it('says that a trade opened and closed in one candle, whose times say nothing of how long', async () => {
  await show([runTrade(1, { entry_time: 60_000, exit_time: 60_000 }), runTrade(2, { entry_time: 120_000, exit_time: 180_000 })])
  const said = screen.getAllByRole('row').filter((row) => row.hasAttribute('data-index')).map((row) => within(row).getAllByRole('cell')[7]?.textContent)
  expect(said).toEqual(['1\u00A0min\u00A000', 'même bougie'])
})

it('draws a handful of ten thousand rows and still counts them all', async () => {
  await show(Array.from({ length: 10_000 }, (_, index) => runTrade(index + 1)))
  expect(screen.getByRole('table').getAttribute('aria-rowcount')).toBe('10001')
  expect(numbers().length).toBeGreaterThan(19)
  expect(numbers().length).toBeLessThan(60)
})

it('is walked and chosen by the keyboard', async () => {
  const { emitted } = await show([runTrade(1), runTrade(2)])
  const rows = screen.getAllByRole('row').filter((row) => row.hasAttribute('data-index'))
  await fireEvent.keyDown(rows[0]!, { key: 'Enter' })
  expect(emitted()['select']?.[0]).toMatchObject([{ number: 2 }])
})
