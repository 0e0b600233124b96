/** The statistics add up what the journeys before have traded: the same trades, to the last decimal. */
import { readFile } from 'node:fs/promises'
import { decimal, plain } from '../support/terminal.ts'
import { expect, expectAlive, test } from '../support/test.ts'

interface Trade {
  source: string
  symbol: string
  profit_loss: string | null
}

const UNIT = 10n ** 18n

/** The exact sum of decimal texts, rounded half away from zero to cents as the page shows it. */
function cents(amounts: readonly string[]): string {
  const total = amounts.reduce((sum, text) => {
    const [whole, fraction = ''] = text.replace('-', '').split('.')
    const units = BigInt(whole + fraction.padEnd(18, '0'))
    return text.startsWith('-') ? sum - units : sum + units
  }, 0n)
  const size = total < 0n ? -total : total
  const rounded = (size * 100n + UNIT / 2n) / UNIT
  return plain(`${rounded / 100n}.${String(rounded % 100n).padStart(2, '0')}`)
}

test('gain, trades, filters and export equal the orders', async ({ api, page }) => {
  await api.login('dev')
  const { results } = await api.get<{ results: Trade[] }>('/api/trades/?limit=500')
  const closed = results.filter((trade) => trade.profit_loss !== null && trade.symbol.endsWith('/USDT'))
  expect(closed.length, 'the journeys before have sold something').toBeGreaterThan(0)
  await page.goto('/stats')
  await expectAlive(page)
  await page.getByRole('button', { name: 'Tout', exact: true }).click()

  const net = page.getByRole('region', { name: 'Chiffres de la période' }).getByText('Gain net').locator('..').getByRole('definition')
  const trades = page.getByRole('region', { name: 'Trades clos' })
  await expect.poll(async () => plain(decimal(await net.innerText()))).toBe(cents(closed.map((trade) => trade.profit_loss ?? '0')))
  await expect(trades.locator('tbody tr')).toHaveCount(Math.min(closed.length, 100))

  // Without manual orders only the others remain.
  await page.getByRole('group', { name: 'Source' }).getByRole('button', { name: 'Manuel' }).click()
  const others = closed.filter((trade) => trade.source !== 'manual')
  await expect(trades.locator('tbody tr')).toHaveCount(Math.min(others.length, 100))
  await page.getByRole('group', { name: 'Source' }).getByRole('button', { name: 'Manuel' }).click()
  await expect(trades.locator('tbody tr')).toHaveCount(Math.min(closed.length, 100))

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: /CSV/ }).click()])
  const lines = (await readFile(await download.path(), 'utf8')).trim().split('\n')
  expect(lines[0]).toContain('gain net')
  expect(lines, 'a head and a line for each trade').toHaveLength(closed.length + 1)
})
