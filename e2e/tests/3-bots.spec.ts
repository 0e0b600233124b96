/** From a strategy to a filled order on the page: activate, see why, see the money move, stop. */
import { botBody, BUY_AND_HOLD, EVERY_CLOSE, stopBots, strategyId } from '../support/api.ts'
import { activate, fillForm } from '../support/bots.ts'
import { expect, expectAlive, test } from '../support/test.ts'

const CLOSE_TIMEOUT = 60_000 // a market minute lasts a second; a busy machine takes its time

test.beforeEach(async ({ api, page }) => {
  await api.login('dac')
  await strategyId(api, EVERY_CLOSE.name, EVERY_CLOSE)
  await strategyId(api, BUY_AND_HOLD.name, BUY_AND_HOLD)
  await stopBots(api)
  await page.goto('/bots')
  await expectAlive(page)
})

test('the shipped EMA cross is activated by hand and says why it did or did not trade', async ({ page }) => {
  const card = await activate(page, /EMA/, '1000')
  await expect(card).toContainText('Actif')
  await expect(card, 'it has decided').toContainText(/Signal 1m du \d\d\.\d\d\.\d\d_\d\d:\d\d · /, { timeout: CLOSE_TIMEOUT })
  const why = card.locator('dt', { hasText: 'Pourquoi' }).locator('+ dd')
  await expect(why).not.toBeEmpty()
  await expect(why).not.toContainText('En attente')
  await expect(page.getByRole('region', { name: 'Dernières décisions' })).toContainText('BTC/USDT')
})

test('a bot trades at the close: the fills appear and the P&L moves', async ({ page }) => {
  const card = await activate(page, EVERY_CLOSE.name, '2 000')
  const trades = card.getByRole('table')
  const bought = trades.getByRole('row', { name: /Achat/ }).filter({ hasNot: page.locator('.badge') })
  await expect(bought.first(), 'a buy is filled').toBeVisible({ timeout: CLOSE_TIMEOUT })
  await expect(bought.first().getByRole('cell').nth(2)).toHaveText(/^[\d\s]+,\d+$/)
  const sold = trades.getByRole('row', { name: /Vente/ }).filter({ hasNot: page.locator('.badge') })
  await expect(sold.first().getByRole('cell').last(), 'a sale shows its net gain').toHaveText(/^[+−]?[\d\s]+,\d\d$/, {
    timeout: CLOSE_TIMEOUT,
  })
  const realised = card.locator('dt', { hasText: 'P&L réalisé' }).locator('+ dd')
  const before = await realised.innerText()
  expect(before).toMatch(/USDT/)
  await expect(realised, 'the P&L moves with the next round').not.toHaveText(before, { timeout: CLOSE_TIMEOUT })
})

test('an open position: its gain moves with the market, and Stop asks first', async ({ page }) => {
  const card = await activate(page, BUY_AND_HOLD.name, '500')
  await expect(card).toContainText(/Position\s*[\d,\s]+BTC à/, { timeout: CLOSE_TIMEOUT })
  const latent = card.locator('dt', { hasText: 'P&L latent' }).locator('+ dd')
  const before = await latent.innerText()
  await expect(latent).not.toHaveText(before, { timeout: CLOSE_TIMEOUT })

  await card.getByRole('button', { name: 'Stop' }).click()
  const dialog = page.getByRole('dialog', { name: `Arrêter « ${BUY_AND_HOLD.name} » sur BTC/USDT ?` })
  await expect(dialog).toContainText('Une position est ouverte')
  await dialog.getByRole('button', { name: 'Annuler' }).click()
  await expect(dialog).toBeHidden()
  await expect(card.getByText('Actif', { exact: true })).toBeVisible()

  await card.getByRole('button', { name: 'Stop' }).click()
  await dialog.getByRole('button', { name: 'Vendre au marché et arrêter' }).click()
  await expect(dialog).toBeHidden()
  await page.getByRole('button', { name: /Afficher \d+ bots? arrêtés?/ }).click()
  await expect(card.getByText('Arrêté', { exact: true }).first()).toBeVisible()
  await expect(card.getByRole('row', { name: /Vente/ }).first()).toBeVisible()
})

test('bad input is refused in French, on the form, and nothing is activated', async ({ api, page }) => {
  const cards = page.getByRole('region', { name: 'Stratégies actives' }).getByRole('article')
  const count = await cards.count()
  await fillForm(page, /EMA/, '0')
  await page.getByRole('button', { name: 'Activer en simulation' }).click()
  const form = page.getByRole('region', { name: 'Activer une stratégie' })
  await expect(form.getByRole('alert').first()).toContainText(/^0.USDT, un montant positif est attendu/)
  await page.getByLabel('Montant maximal').fill('beaucoup')
  await expect(form.getByRole('alert').filter({ hasText: 'Attendu : un montant' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Activer en simulation' })).toBeDisabled()

  await page.getByLabel('Symbole', { exact: true }).fill('ZZZ/USDT')
  await expect(page.getByText('Aucun symbole')).toBeVisible()
  expect(await cards.count()).toBe(count)

  const body = await botBody(api, await strategyId(api, 'EMA'), 'ZZZ/USDT')
  const refusal = await api.tryPost('/api/bots/', body)
  expect(refusal.status()).toBe(400)
  expect(await refusal.text(), 'the server refuses it too').toContain('symbole « ZZZ/USDT » inconnu')
})
