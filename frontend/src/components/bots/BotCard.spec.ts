import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia, setActivePinia, type Pinia } from 'pinia'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Bot } from '@/api/bots'
import { useBots } from '@/stores/bots'
import { bot, decision, position, trade } from '@/testing/samples'
import { fakeServer } from '@/testing/server'
import BotCard from './BotCard.vue'

let pinia: Pinia

beforeEach(() => {
  pinia = createPinia()
  setActivePinia(pinia)
})
afterEach(cleanup)

function show(shown: Bot) {
  useBots().merge(shown)
  return render(BotCard, { props: { bot: shown }, global: { plugins: [pinia] } })
}

it('explains why it did not trade', () => {
  show(bot({ last_decision: decision({ reason: 'Pas d’achat : RSI 41,8' }) }))
  expect(screen.getByText('Pas d’achat : RSI 41,8')).toBeDefined()
  expect(screen.getByText('Aucune position')).toBeDefined()
})

it('shows the trace of a strategy that failed, and offers to resume', () => {
  show(bot({ state: 'paused_error', pause_reason: 'La stratégie a échoué', pause_details: { line: 3, traceback: "KeyError: 'x'" } }))
  expect(screen.getByLabelText('Trace de l’erreur').textContent).toContain("KeyError: 'x'")
  expect(screen.getByRole('button', { name: 'Reprendre' })).toBeDefined()
  expect(screen.queryByRole('button', { name: 'Suspendre' })).toBeNull()
})

it('writes gains with their sign and failures with their status', () => {
  show(bot({ trades: [trade(2, { side: 'sell', profit_loss: '-3.515' }), trade(1, { status: 'rejected', error_message: 'Notionnel trop petit' })] }))
  expect(screen.getByText('−3,52')).toBeDefined()
  expect(screen.getByText('Refusé').closest('tr')?.title).toBe('Notionnel trop petit')
})

it('warns about an order whose fate is unknown', () => {
  show(bot({ trades: [trade(1, { status: 'unknown' })] }))
  expect(screen.getByRole('status').textContent).toContain('BTC/USDT est bloqué')
})

it('stops at once when nothing is open', async () => {
  const server = fakeServer({ 'POST /api/bots/1/stop/': { body: bot({ state: 'stopped', is_active: false }) } })
  show(bot())
  await fireEvent.click(screen.getByRole('button', { name: 'Stop' }))
  await waitFor(() => expect(useBots().byId[1].state).toBe('stopped'))
  expect(server.calls[0].body).toEqual({ confirm: false })
})

it('asks before stopping on an open position', async () => {
  const server = fakeServer({ 'POST /api/bots/1/stop/': { body: bot({ state: 'stopped' }) } })
  show(bot({ position: position() }))
  await fireEvent.click(screen.getByRole('button', { name: 'Stop' }))
  const dialog = await screen.findByRole('dialog')
  expect(dialog.textContent).toContain('+12,36')
  expect(server.calls).toHaveLength(0)
  await fireEvent.click(within(dialog).getByRole('button', { name: 'Arrêter' }))
  await waitFor(() => expect(server.calls[0]?.body).toEqual({ confirm: true }))
})

it('asks too when only the server knows of the position', async () => {
  fakeServer({ 'POST /api/bots/1/stop/': { status: 409, body: { code: 'open_position', message: 'Position ouverte', details: {} } } })
  show(bot())
  await fireEvent.click(screen.getByRole('button', { name: 'Stop' }))
  expect((await screen.findByRole('dialog')).textContent).toContain('Une position est ouverte')
})

it('sells only after a confirmation', async () => {
  const server = fakeServer({ 'POST /api/bots/1/sell/': { body: bot() } })
  show(bot({ position: position() }))
  await fireEvent.click(screen.getByRole('button', { name: 'Vendre' }))
  const dialog = await screen.findByRole('dialog')
  expect(server.calls).toHaveLength(0)
  await fireEvent.click(within(dialog).getByRole('button', { name: /^Vendre 0,06/ }))
  await waitFor(() => expect(server.calls).toHaveLength(1))
})
