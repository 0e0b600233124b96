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

/** What was asked of the server to change something. */
const orders = (server: ReturnType<typeof fakeServer>) => server.calls.filter((call) => call.method === 'POST')

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

it('tells a protection that waits from a sale at market', () => {
  const resting = { side: 'sell', status: 'open', average_price: null, filled_quantity: '0' } as const
  show(bot({ trades: [
    trade(4, { side: 'sell', status: 'pending', average_price: null, filled_quantity: '0' }),
    trade(3, { ...resting, type: 'take_profit', stop_price: '44879.43' }),
    trade(2, { ...resting, type: 'stop_loss', stop_price: '42290.23' }),
    trade(1, { side: 'sell', type: 'stop_loss', stop_price: '42290.23', average_price: '42288.1', profit_loss: '-3' }),
  ] }))
  const prices = screen.getAllByRole('row').slice(1).map((row) => within(row).getAllByRole('cell')[2].textContent?.trim())
  expect(prices).toEqual(['Marché', 'TP\u00A044\u202F879,43', 'SL\u00A042\u202F290,23', '42\u202F288,10'])
  const sold = screen.getByText('Vente', { ignore: 'span', exact: false, selector: 'td:has(span)' })
  expect([sold.textContent, sold.closest('tr')?.title]).toEqual(['Vente\u00A0SL', 'Vendu par le stop loss posé à 42\u202F290,23'])
})

it('warns about an order whose fate is unknown', () => {
  show(bot({ trades: [trade(1, { status: 'unknown' })] }))
  expect(screen.getByRole('status').textContent).toContain('BTC/USDT est bloqué')
})

it('offers the cap that the account bears when the present one keeps the bot from resuming', async () => {
  const refusal = { code: 'cap_beyond_balance', message: 'Reprise refusée, montant maximal : Au-dessus du solde libre', details: { available: '998.5' } }
  const server = fakeServer({
    'POST /api/bots/1/resume/': { status: 400, body: refusal },
    'PATCH /api/bots/1/': (call) => {
      server.set('POST /api/bots/1/resume/', { body: bot({ state: 'running' }) })
      return { body: bot({ state: 'suspended', ...(call.body as object) }) }
    },
  })
  show(bot({ state: 'suspended', is_active: false, amount: '1000' }))
  await fireEvent.click(screen.getByRole('button', { name: 'Reprendre' }))
  const dialog = await screen.findByRole('dialog')
  expect(dialog.textContent).toContain('Reprise refusée')
  await fireEvent.click(within(dialog).getByRole('button', { name: /Reprendre avec 998,50\sUSDT au plus/ }))
  await waitFor(() => expect(useBots().byId[1]).toMatchObject({ state: 'running', amount: '998.5' }))
})

it('changes the cap of a bot at work, and says why one is refused', async () => {
  const reason = 'Au-dessus du solde libre : 90 000 USDT demandés'
  const server = fakeServer({ 'PATCH /api/bots/1/': { status: 400, body: { code: 'cap_beyond_balance', message: 'Modification refusée', details: { fields: { amount: reason } } } } })
  const { rerender } = show(bot({ amount: '1000' }))
  await fireEvent.click(screen.getByRole('button', { name: /^1\s000\sUSDT au plus$/ }))
  const field = await screen.findByLabelText('Montant maximal')
  expect((field as HTMLInputElement).value).toBe('1000')
  await fireEvent.update(field, 'deux mille')
  expect((screen.getByRole('button', { name: 'Enregistrer' }) as HTMLButtonElement).disabled).toBe(true)
  await fireEvent.update(field, '90 000')
  await fireEvent.click(screen.getByRole('button', { name: 'Enregistrer' }))
  expect(await screen.findByText(reason)).toBeDefined()
  server.set('PATCH /api/bots/1/', (call) => ({ body: bot({ ...(call.body as object), amount_warning: '' }) }))
  await fireEvent.update(field, '')
  expect(screen.queryByText(reason)).toBeNull() // it was about 90 000
  await fireEvent.click(screen.getByRole('button', { name: 'Autoriser tout le solde libre' }))
  await waitFor(() => expect(useBots().byId[1].amount).toBeNull())
  expect(server.calls.filter((call) => call.method === 'PATCH').map((call) => call.body)).toEqual([{ amount: '90000' }, { amount: null }])
  await rerender({ bot: useBots().byId[1] })
  expect(screen.queryByRole('dialog')).toBeNull()
  expect(screen.getByRole('button', { name: 'tout le solde libre' })).toBeDefined()
})

it('leaves the cap of a bot that was stopped for good', () => {
  show(bot({ state: 'stopped', is_active: false, amount: '1000' }))
  expect(screen.queryByTitle('Changer le montant maximal')).toBeNull()
  expect(screen.getByText(/^1\s000\sUSDT au plus$/)).toBeDefined()
})

it('stops at once when nothing is open', async () => {
  const server = fakeServer({ 'POST /api/bots/1/stop/': { body: bot({ state: 'stopped', is_active: false }) } })
  show(bot())
  await fireEvent.click(screen.getByRole('button', { name: 'Stop' }))
  await waitFor(() => expect(useBots().byId[1].state).toBe('stopped'))
  expect(orders(server)[0].body).toEqual({ confirm: false, sell: false })
})

it('asks before stopping on an open position', async () => {
  const server = fakeServer({ 'POST /api/bots/1/stop/': { body: bot({ state: 'stopped' }) } })
  show(bot({ position: position() }))
  await fireEvent.click(screen.getByRole('button', { name: 'Stop' }))
  const dialog = await screen.findByRole('dialog')
  expect(dialog.textContent).toContain('+12,36')
  expect(orders(server)).toHaveLength(0)
  await fireEvent.click(within(dialog).getByRole('button', { name: 'Arrêter' }))
  await waitFor(() => expect(orders(server)[0]?.body).toEqual({ confirm: true, sell: false }))
})

it('sees a position that its protection closes while it asks', async () => {
  const card = show(bot({ position: position() }))
  await fireEvent.click(screen.getByRole('button', { name: 'Stop' }))
  const dialog = await screen.findByRole('dialog')
  await card.rerender({ bot: bot({ position: null }) })
  await waitFor(() => expect(dialog.textContent).toContain('La position vient d’être fermée'))
  expect(within(dialog).queryByRole('button', { name: 'Vendre au marché et arrêter' })).toBeNull()
  expect(within(dialog).getByRole('button', { name: 'Arrêter' })).toBeDefined()
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
  expect(orders(server)).toHaveLength(0)
  await fireEvent.click(within(dialog).getByRole('button', { name: /^Vendre 0,06/ }))
  await waitFor(() => expect(orders(server)).toHaveLength(1))
})

it('says that a position’s price holds its fees, with protections of the same decimals', () => {
  show(bot({ position: position({ entry_price: '42719.0147', current_price: '42676.29', stop_loss: '41875.5', take_profit: '44400' }) }))
  const price = screen.getByTitle(/frais d’achat compris/)
  expect(price.textContent).toBe('42\u202F719,01 frais compris')
  expect(price.closest('dd')?.textContent).toMatch(/SL 41\u202F875,50 · TP 44\u202F400,00/)
})

it('keeps the end of the period in sight only while it is near', () => {
  const soon = new Date(Date.now() + 86_400_000).toISOString()
  const { unmount } = show(bot({ end_date: soon }))
  expect(screen.getByText(/^jusqu’au /)).toBeDefined()
  unmount()
  show(bot({ end_date: '2099-01-01T00:00:00Z' }))
  expect(screen.queryByText(/jusqu’au/)).toBeNull()
  expect(screen.getByTitle(/→ 99\.01\.01_00:00$/)).toBeDefined()
})

it('curves the apostrophes of the server’s reasons', () => {
  show(bot({ last_decision: decision({ reason: "aucun signal d'achat" }) }))
  expect(screen.getByText('aucun signal d’achat')).toBeDefined()
})

it('says that a stopped bot still holds a position, and offers to sell it without promising more', async () => {
  show(bot({ state: 'stopped', is_active: false, position: position() }))
  expect(screen.getByText('Le bot est arrêté : il ne traite plus aucun signal, mais sa position reste ouverte.')).toBeDefined()
  await fireEvent.click(screen.getByRole('button', { name: 'Vendre' }))
  expect((await screen.findByRole('dialog')).textContent).not.toContain('Le bot reste actif')
})
