/** From a source to a trade: make an address, call it as TradingView would, see the call, the order and its fill arrive. */
import { readFile } from 'node:fs/promises'
import { expect, expectAlive, type Page, test } from '../support/test.ts'

const ORDER_TIMEOUT = 30_000

async function makeSource(page: Page, name: string): Promise<string> {
  const sources = page.getByRole('region', { name: 'Sources' })
  await sources.getByRole('button', { name: 'Nouvelle source' }).click()
  const dialog = page.getByRole('dialog', { name: 'Nouvelle source' })
  await dialog.getByLabel('Nom').fill(name)
  await dialog.getByLabel('Plafond de chaque achat').fill('500')
  await dialog.getByLabel('Secret dans le message').fill('sésame')
  await dialog.getByRole('button', { name: 'Créer l’adresse' }).click()
  const shown = page.getByRole('dialog', { name: 'Adresse à copier maintenant' })
  const address = await shown.getByRole('textbox', { name: 'Nouvelle adresse' }).inputValue()
  await shown.getByRole('button', { name: 'J’ai copié l’adresse' }).click()
  await expect(sources.getByRole('article', { name })).toContainText('Active')
  return address
}

/** Calls an address as a service outside does: no cookie, no form token. */
async function call(address: string, body: string): Promise<number> {
  const answer = await fetch(address, { method: 'POST', headers: { 'content-type': 'text/plain; charset=utf-8' }, body })
  await answer.body?.cancel()
  return answer.status
}

test('a source is made, called as TradingView would, and its order arrives live', async ({ api, page }) => {
  await api.login('dac')
  await page.goto('/webhooks')
  await expectAlive(page)
  const name = `TradingView ${test.info().retry}`
  const address = await makeSource(page, name)
  expect(address).toMatch(/\/api\/webhooks\/in\/wh_[\w-]{43}\/$/)

  const message = { ticker: 'BTCUSDT', action: 'buy', quote_amount: 200, id: `e2e ${Date.now()}`, time: new Date().toISOString(), secret: 'sésame' }
  expect(await call(address, JSON.stringify(message))).toBe(202)
  const rows = page.getByRole('region', { name: 'Journal' }).locator('tr.call')
  await expect(rows.first()).toContainText(name)
  await expect(rows.first(), 'executed without a reload').toContainText(/Exécuté.*Achat [\d,]+ BTC à/, { timeout: ORDER_TIMEOUT })

  expect(await call(address, JSON.stringify(message)), 'sent again').toBe(202)
  await expect(rows.first()).toContainText('Doublon')
  expect(await call(address, '{"ticker": "BTCUSDT.P", "action": "buy", "quote_amount": 50, "secret": "sésame"}')).toBe(202)
  await expect(rows.first()).toContainText(/Refusé.*seul le comptant/)

  expect(await call(address, 'close BTCUSDT secret=sésame')).toBe(202)
  await expect(rows.first(), 'the position is sold').toContainText(/Exécuté.*Vente [\d,]+ BTC à .*P&L/, { timeout: ORDER_TIMEOUT })

  await page.getByRole('button', { name: 'Doublons' }).click()
  await expect(rows).toHaveCount(1)
  await rows.first().click()
  await expect(page.getByRole('region', { name: 'Journal' }).locator('.payload')).toContainText('"secret":"•••"')

  await page.getByRole('article', { name }).getByRole('button', { name: 'Révoquer' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Révoquer' }).click()
  await expect(page.getByRole('article', { name })).toContainText('Révoquée')
  expect(await call(address, 'buy BTCUSDT 50 secret=sésame')).toBe(404)

  // What the call came to is in the statistics, alone once the other sources are put aside, and in the export.
  await page.goto('/stats')
  await page.getByRole('button', { name: 'Tout', exact: true }).click()
  const sources = page.getByRole('group', { name: 'Source' })
  for (const other of ['Manuel', 'Stratégies', 'Hors Aristobot']) await sources.getByRole('button', { name: other }).click()
  await expect(page.getByRole('region', { name: 'Par source de webhook' }).getByRole('row', { name: new RegExp(name) })).toContainText(/[+−]\d/)
  await expect(page.getByRole('region', { name: 'Trades clos' }).locator('tbody tr')).toHaveCount(1)
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: /CSV/ }).click()])
  expect((await readFile(await download.path(), 'utf8')).trim().split('\n')).toHaveLength(2)
})
