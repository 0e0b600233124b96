import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ApiError } from '@/api/errors'
import * as api from '@/api/stats'
import type { StatsSummary, StatsTrade } from '@/api/stats'
import { useStats } from '@/stores/stats'
import { trade as order } from '@/testing/samples'
import StatsView from './StatsView.vue'

vi.mock('@/api/stats', async (original) => ({ ...(await original<typeof api>()), ...Object.fromEntries(FETCHES.map((name) => [name, vi.fn()])) }))
vi.mock('@/api/brokers', () => ({ fetchBrokers: () => Promise.resolve([]) }))
vi.mock('@/components/charts/GainChart.vue', () => ({ default: { template: '<div />' } }))

const FETCHES = vi.hoisted(() => ['fetchSummary', 'fetchEquity', 'fetchDaily', 'fetchByStrategy', 'fetchByWebhook', 'fetchBySymbol', 'fetchTrades', 'fetchTrade'])

const summary = (over: Partial<StatsSummary> = {}): StatsSummary => ({
  mode: 'simulation', modes: ['simulation'], quote: 'USDT', quotes: ['USDT'], today: '2026-11-22', order_count: 4, refused_count: 0,
  trade_count: 3, win_count: 2, loss_count: 1, net: '8', gross_profit: '12', gross_loss: '-4', win_ratio: '0.66666667', profit_factor: '3',
  average_win: '6', average_loss: '-4', expectancy: '2.66666667', best_trade: '7', worst_trade: '-4',
  best_day: { day: '2026-11-20', net: '12' }, worst_day: { day: '2026-11-22', net: '-4' },
  drawdown: { step: 'trade', depth: '4', peak_day: '2026-11-20', trough_day: '2026-11-22', day_count: 2 },
  volume: '600', fees: '0.3', other_fees: [{ currency: 'BNB', amount: '0.01' }], open: { count: 1, unrealized_pnl: '0', fees: '0.05' }, ...over,
})

function answers(over: Partial<StatsSummary> = {}): void {
  vi.mocked(api.fetchSummary).mockResolvedValue(summary(over))
  vi.mocked(api.fetchEquity).mockResolvedValue({ step: 'trade', points: [] })
  const group = { trade_count: 3, win_count: 2, loss_count: 1, net: '8', win_ratio: '0.66666667', profit_factor: '3', fees: '0.3' }
  vi.mocked(api.fetchDaily).mockResolvedValue([{ ...group, day: '2026-11-20' }])
  vi.mocked(api.fetchByStrategy).mockResolvedValue([{ ...group, source: 'strategy', strategy: null, name: '' }])
  vi.mocked(api.fetchByWebhook).mockResolvedValue([])
  vi.mocked(api.fetchBySymbol).mockResolvedValue([{ ...group, symbol: 'BTC/USDT' }])
  vi.mocked(api.fetchTrades).mockResolvedValue({ rows: [], cursor: null })
}

function open(): void {
  const pinia = createPinia()
  setActivePinia(pinia)
  render(StatsView, { global: { plugins: [pinia], stubs: { RouterLink: true } } })
}

beforeEach(() => answers())
afterEach(cleanup)

it('shows figures as the server gave them, and what is undefined as a dash', async () => {
  answers({ win_ratio: null, profit_factor: null, expectancy: null, best_day: null })
  open()
  const figures = within(await screen.findByRole('region', { name: 'Chiffres de la période' }))
  const read = (label: string) => figures.getByText(label).parentElement?.querySelector('dd')?.textContent?.trim()
  expect(read('Gain net')).toBe('+8,00 USDT')
  expect(read('Drawdown maximal')).toBe('−4,00 par trade · 2 j')
  expect(read('Facteur de profit')).toBe('—')
  expect(read('Meilleur jour')).toBe('—')
  expect(read('Frais payés')).toBe('0,30 + 0,05 en cours + 0,01 BNB')
  expect(screen.getByText('Stratégie supprimée')).toBeTruthy()
})

it('counts a period back from the market’s day and asks every panel the same', async () => {
  open()
  await screen.findByRole('region', { name: 'Chiffres de la période' })
  await fireEvent.click(screen.getByRole('button', { name: '7 j' }))
  const wanted = expect.objectContaining({ since: '2026-11-16' })
  await waitFor(() => expect(api.fetchSummary).toHaveBeenLastCalledWith(wanted))
  expect(api.fetchEquity).toHaveBeenLastCalledWith(wanted)
  expect(api.fetchTrades).toHaveBeenLastCalledWith(wanted, null)
})

it('narrows to a day of the calendar', async () => {
  open()
  await fireEvent.click(await screen.findByRole('button', { name: /26\.11\.20/ }))
  await waitFor(() => expect(api.fetchSummary).toHaveBeenLastCalledWith(expect.objectContaining({ since: '2026-11-20', until: '2026-11-20' })))
})

it('keeps at least one source', async () => {
  open()
  await screen.findByRole('region', { name: 'Chiffres de la période' })
  for (const name of ['Manuel', 'Stratégies', 'Webhooks', 'Hors Aristobot']) await fireEvent.click(screen.getByRole('button', { name }))
  expect(useStats().filters.sources).toEqual(['external'])
})

it('drops an answer that a newer question has overtaken', async () => {
  open()
  await screen.findByRole('region', { name: 'Chiffres de la période' })
  let late: (value: StatsSummary) => void = () => undefined
  vi.mocked(api.fetchSummary).mockReturnValueOnce(new Promise((resolve) => (late = resolve)))
  await fireEvent.click(screen.getByRole('button', { name: '90 j' }))
  answers({ net: '5' })
  await fireEvent.click(screen.getByRole('button', { name: '1 an' }))
  await screen.findByText('+5,00')
  late(summary({ net: '999' }))
  await Promise.resolve()
  expect(screen.queryByText('+999,00')).toBeNull()
})

it('opens a closed trade: bought, sold, paid, and why', async () => {
  const row: StatsTrade = {
    id: 9, closed_at: '2026-11-22T12:00:00Z', symbol: 'BTC/USDT', side: 'sell', source: 'manual', label: '', broker: 1, broker_name: 'Simulateur',
    quantity: '2', entry_price: '96.3', exit_price: '100', fee: '0.4', entry_fee: '0.2', other_fee: '', profit_loss: '7',
  }
  vi.mocked(api.fetchTrades).mockResolvedValue({ rows: [row], cursor: null })
  vi.mocked(api.fetchTrade).mockResolvedValue({
    trade: row, order: order(9, { bot: null }), opened_at: '2026-11-22T11:00:00Z', closing_reason: 'take_profit', origin: '', orders: [order(8, { market_time: '2026-11-22T11:00:00Z', created_at: '2027-03-01T09:00:00Z' }), order(9, { side: 'sell' })],
  })
  open()
  await fireEvent.click(await screen.findByRole('button', { name: /Détail du trade BTC\/USDT/ }))
  const dialog = within(await screen.findByRole('dialog', { name: 'Trade clos · BTC/USDT' }))
  const read = (label: string) => dialog.getByText(label, { selector: 'dt' }).parentElement?.textContent
  expect(read('Pourquoi')).toContain('Take Profit atteint')
  expect(read('Durée')).toContain('1\u00A0h')
  expect(read('Frais')).toContain('0,40\u00A0USDT')
  expect(dialog.getAllByRole('row')).toHaveLength(3)
  expect(dialog.getAllByRole('row')[1].textContent).toContain('26.11.22_11:00') // the market's date, as above it; not ours
})

it('says why nothing could be read, and tries again', async () => {
  vi.mocked(api.fetchSummary).mockRejectedValue(new ApiError('Le serveur Aristobot ne répond pas : coupé', 'unreachable', 0))
  open()
  expect((await screen.findByRole('alert')).textContent).toContain('ne répond pas')
  answers()
  await fireEvent.click(screen.getByRole('button', { name: 'Réessayer' }))
  expect(await screen.findByRole('region', { name: 'Chiffres de la période' })).toBeTruthy()
})
