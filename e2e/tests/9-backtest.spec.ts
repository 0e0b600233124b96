/** A backtest as a person plays it: run, watch, cancel, run again, read, sort, export, compare. */
import { readFileSync } from 'node:fs'
import { expect, expectAlive, type Page, test } from '../support/test.ts'

const RUN_TIMEOUT = 90_000 // a busy machine takes its time
const DAY_MS = 86_400_000

/** `AA.MM.JJ`, some days before the date in a field. */
function daysBefore(day: string, days: number): string {
  const [year, month, date] = day.split('.').map(Number)
  const at = new Date(Date.UTC(2000 + (year ?? 0), (month ?? 1) - 1, date) - days * DAY_MS)
  return at.toISOString().slice(2, 10).replaceAll('-', '.')
}

/** The example on one-minute candles, whatever the account used last. */
async function choose(page: Page): Promise<void> {
  await page.getByRole('combobox', { name: /^Stratégie/ }).click()
  await page.getByRole('option', { name: /^Croisement EMA 10\/20 · / }).click()
  await page.getByLabel('Unité de temps').click()
  await page.getByRole('option', { name: '1m', exact: true }).click()
}

async function launch(page: Page, days: number): Promise<void> {
  const end = await page.getByLabel('Au', { exact: true }).inputValue()
  await page.getByLabel('Du', { exact: true }).fill(daysBefore(end, days))
  await page.getByRole('button', { name: 'Lancer le backtest' }).click()
}

/** Waits for a result and returns how many trades it has. */
async function result(page: Page): Promise<number> {
  await expect(page.getByRole('region', { name: 'Backtest affiché' }).getByText('Terminé')).toBeVisible({ timeout: RUN_TIMEOUT })
  await expect(page.getByRole('region', { name: 'Verdict' })).toContainText('Aucun biais d’anticipation')
  return Number((await page.getByRole('tab', { name: /^Trades/ }).innerText()).replace(/\D/g, ''))
}

test('a backtest is run, watched, cancelled, run again, read, sorted, exported and compared', async ({ api, page }) => {
  test.setTimeout(240_000)
  await api.login('dac')
  await page.goto('/backtest')
  await expectAlive(page)
  await expect(page.getByLabel('Symbole', { exact: true })).toHaveValue('BTC/USDT')
  await choose(page)
  await expect(page.getByText('Taker de votre compte'), 'the fees are the account’s own').toBeVisible()

  await launch(page, 120)
  const candles = page.getByRole('progressbar', { name: 'Bougies' })
  await expect.poll(async () => Number(await candles.getAttribute('aria-valuenow')), 'the progress is pushed').toBeGreaterThan(0)
  await page.reload()
  await expect(candles, 'a reload loses nothing').toBeVisible()
  await page.getByRole('button', { name: 'Interrompre le chargement' }).click()
  await expect(page.getByText('Backtest interrompu')).toBeVisible({ timeout: 5_000 })

  await choose(page)
  await launch(page, 3)
  const count = await result(page)
  expect(count).toBeGreaterThan(5)
  await expect(page.getByRole('region', { name: 'Chiffres du backtest' })).toContainText(/Gain net\s*[+−]/)
  await expect(page.getByRole('img', { name: `Bougies, ${count} trades simulés, capital et drawdown` })).toBeVisible()

  const trades = page.getByRole('region', { name: 'Trades simulés' })
  await trades.getByRole('button', { name: 'Gain net' }).click()
  await expect(trades.getByRole('columnheader', { name: 'Gain net' })).toHaveAttribute('aria-sort', 'descending')
  const gains = (await trades.locator('tbody tr[data-index] td:nth-child(10)').allInnerTexts()).map((text) => Number(text.replace(/[\s\u202F]/g, '').replace('−', '-').replace(',', '.')))
  expect(gains).toEqual(gains.toSorted((a, b) => b - a))
  await trades.locator('tbody tr[data-index="0"]').click()
  await expect(trades.locator('tbody tr[data-index="0"]')).toHaveAttribute('aria-selected', 'true')

  const download = page.waitForEvent('download')
  await trades.getByRole('link', { name: 'CSV' }).click()
  expect((await download).suggestedFilename()).toMatch(/^backtest-\d+-croisement-ema-1020-btc-usdt-1m-\d{4}-/)
  const lines = readFileSync(await (await download).path(), 'utf8').trim().split(/\r?\n/)
  expect(lines).toHaveLength(count + 1)
  expect(lines[0]).toContain('n°;entrée (UTC);sortie (UTC);quantité BTC')

  const history = page.getByRole('region', { name: 'Historique' })
  const comparable = history.getByRole('checkbox', { disabled: false })
  const before = await comparable.count()
  await page.getByLabel('Glissement').fill('0,5')
  await launch(page, 3)
  await expect(comparable).toHaveCount(before + 1, { timeout: RUN_TIMEOUT })
  await comparable.nth(0).check()
  await comparable.nth(1).check()
  await history.getByRole('button', { name: 'Comparer (2)' }).click()
  const comparison = page.getByRole('region', { name: 'Comparaison de 2 backtests' })
  await expect(comparison.getByRole('status').filter({ hasText: 'mêmes hypothèses' })).toContainText('0,5 % / 0,05 %')
  await expect(comparison.getByRole('row', { name: /^Gain net / }).first()).toContainText(/[+−]\d/)
  await expect(comparison.getByRole('img', { name: /Courbes de capital/ })).toBeVisible()
})
