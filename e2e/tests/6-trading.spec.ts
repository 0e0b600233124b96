/** A day at the manual terminal: what the page shows is what the exchange has recorded, to the last decimal. */
import { movePrice } from '../support/exchange.ts'
import { decimal, plain, Terminal } from '../support/terminal.ts'
import { expect, expectAlive, type Page, test } from '../support/test.ts'

const FILL_TIMEOUT = 60_000

/** A price that far from the last one, without cents. */
const around = (last: string, ratio: number): string => String(Math.round(Number(last) * ratio))

async function search(page: Page): Promise<void> {
  await page.keyboard.press('/')
  const field = page.getByRole('combobox', { name: /Rechercher un symbole/ })
  await expect(field).toBeFocused()
  await field.fill('eth')
  await expect(page.getByRole('option', { name: 'ETH/USDT' })).toBeVisible()
  await expect(page.getByRole('option', { name: 'BTC/USDT' })).toBeHidden()
  await field.press('Enter')
  await expect(page.getByRole('img', { name: /Bougies ETH\/USDT/ })).toBeVisible()
  await field.fill('btc')
  await page.getByRole('option', { name: 'BTC/USDT' }).click()
  await expect(page.getByRole('img', { name: /Bougies BTC\/USDT/ })).toBeVisible()
  await field.fill('')
}

/** Compares every manual row of the history with the exchange's record of the same order. */
async function expectHistoryExact(terminal: Terminal, ids: number[]): Promise<void> {
  await terminal.tab(/Historique/)
  for (const id of ids) {
    const found = await terminal.atExchange(id)
    expect(found, `order ${id} is there once`).toHaveLength(1)
    const [order] = found
    const cells = await terminal.row(id).getByRole('cell').allInnerTexts()
    expect(plain(decimal(cells[6])), `quantity of ${id}`).toBe(plain(order.origQty))
    if (order.type === 'LIMIT') expect(plain(decimal(cells[4])), `price of ${id}`).toBe(plain(order.price))
    if (Number(order.stopPrice) > 0) expect(plain(decimal(cells[5])), `trigger of ${id}`).toBe(plain(order.stopPrice))
    expect(await terminal.row(id).locator('td[title]').first().getAttribute('title').then((text) => plain(decimal(text ?? '')))).toBe(plain(order.executedQty))
  }
}

test.beforeEach(async ({ api, page }) => {
  await api.login('dev')
  await page.goto('/heartbeat')
  await expectAlive(page)
})

test('a day: search, limit, change, fill, protection, market sale, history', async ({ api, page }) => {
  test.setTimeout(240_000)
  const terminal = new Terminal(page, api)
  await terminal.open()
  await search(page)

  // Errors come while typing, beside the field.
  await terminal.write('Limite', 'Achat', { 'Prix limite': around(await terminal.last(), 0.9), Quantité: 'beaucoup' })
  await expect(terminal.ticket.getByText('« beaucoup » n’est pas un nombre positif.')).toBeVisible()
  await terminal.ticket.getByLabel('Quantité', { exact: true }).fill('0,00001')
  await expect(terminal.ticket.getByRole('alert')).toContainText(/minimum/)
  await terminal.ticket.getByLabel('Quantité', { exact: true }).fill('0,01')
  await expect(terminal.ticket.getByLabel('Valeur', { exact: true })).not.toHaveValue('')

  // A limit below the market rests.
  await terminal.validate()
  const [limit] = await terminal.execute()
  await terminal.tab(/Ordres ouverts/)
  await expect(terminal.row(limit)).toContainText('Ouvert', { timeout: FILL_TIMEOUT })
  const price = decimal((await terminal.row(limit).getByRole('cell').allInnerTexts())[4])

  // It is changed: another order takes its place.
  const dearer = around(price, 1.01)
  await terminal.row(limit).getByRole('button', { name: 'Modifier' }).click()
  const dialog = page.getByRole('dialog', { name: 'Modifier l’ordre' })
  await dialog.getByLabel('Prix limite').fill(dearer)
  await dialog.getByRole('button', { name: 'Modifier' }).last().click()
  await expect(terminal.row(limit), 'the old one is over').toBeHidden({ timeout: FILL_TIMEOUT })
  const replacement = terminal.orders.locator('tr[data-order]').filter({ hasText: 'Ouvert' })
  await expect(replacement).toHaveCount(1)
  const changed = Number(await replacement.getAttribute('data-order'))
  expect(plain(decimal((await replacement.getByRole('cell').allInnerTexts())[4]))).toBe(dearer)

  // The market comes down to it.
  await movePrice('BTCUSDT', around(dearer, 0.995))
  await expect(terminal.row(changed), 'it has left the open orders').toBeHidden({ timeout: FILL_TIMEOUT })
  await terminal.tab(/Historique/)
  await expect(terminal.row(limit)).toContainText('Annulé')
  await expect(terminal.row(changed)).toContainText('Exécuté')
  await terminal.tab(/Positions/)
  await expect(terminal.orders.getByRole('row', { name: /BTC\/USDT.*Manuel/ })).toBeVisible()

  // A stop loss and a take profit hold the position together.
  const last = await terminal.last()
  await terminal.write('SL + TP', 'Vente', { 'Stop Loss': around(last, 0.8), 'Take Profit': around(last, 1.2) })
  await terminal.ticket.getByRole('button', { name: '100 %' }).click()
  await terminal.validate()
  const pair = await terminal.execute()
  expect(pair).toHaveLength(2)
  await terminal.tab(/Ordres ouverts/)
  for (const leg of pair) await expect(terminal.row(leg)).toContainText('Ouvert', { timeout: FILL_TIMEOUT })

  // The position is left in one step: what holds its quantity is cancelled first, then it is sold at the market.
  await terminal.tab(/Positions/)
  await terminal.orders.getByRole('button', { name: 'Clôturer' }).first().click()
  const leaving = page.getByRole('dialog', { name: 'Clôturer la position' })
  for (const leg of pair) await expect(leaving).toContainText(`n° ${leg}`)
  await leaving.getByRole('button', { name: 'Annuler la protection et vendre' }).click()
  await expect(terminal.orders.getByText('Aucune position ouverte')).toBeVisible({ timeout: FILL_TIMEOUT })
  await terminal.tab(/Historique/)
  for (const leg of pair) await expect(terminal.row(leg)).toContainText('Annulé')
  const sold = terminal.orders.locator('tr[data-order]').first()
  await expect(sold).toContainText(/Vente.*Marché.*Exécuté/s)
  const sale = Number(await sold.getAttribute('data-order'))

  await expectHistoryExact(terminal, [limit, changed, ...pair, sale])
})
