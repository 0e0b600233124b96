/** The market as it comes: raw stream, history in orange, live signals in green on top. */
import type { Locator } from '@playwright/test'
import { expect, expectAlive, type Page, test } from '../support/test.ts'

type Rgb = [red: number, green: number, blue: number]

async function colour(row: Locator): Promise<Rgb> {
  const text = await row.evaluate((element) => getComputedStyle(element).color)
  const [red, green, blue] = (text.match(/[\d.]+/g) ?? []).map(Number)
  return [red, green, blue]
}

const isOrange = ([red, green, blue]: Rgb): boolean => red > green && green > blue + 40
const isGreen = ([red, green]: Rgb): boolean => green > red + 40

async function rows(list: Locator): Promise<string[]> {
  return list.locator('li:not(.gap) > span:first-child').allInnerTexts()
}

async function openHeartbeat(page: Page): Promise<void> {
  await page.goto('/heartbeat')
  await expectAlive(page)
}

test.beforeEach(async ({ api, page }) => {
  await api.login('dac')
  await openHeartbeat(page)
})

test('the raw stream moves, keeps sixty lines, and holds still under the pointer', async ({ page }) => {
  const stream = page.getByRole('list', { name: 'Transactions brutes du marché' })
  const lines = stream.getByRole('listitem')
  await expect(lines.first()).toContainText(/achat|vente/)
  const before = await lines.first().innerText()
  await expect.poll(() => lines.first().innerText(), 'a newer transaction is on top').not.toBe(before)
  await expect.poll(() => lines.count()).toBe(60)

  await stream.hover()
  const badge = page.getByText(/En pause, \d+ en attente/)
  await expect(badge).toBeVisible()
  const held = await lines.allInnerTexts()
  await expect(page.getByText(/En pause, [1-9]\d* en attente/)).toBeVisible()
  expect(await lines.allInnerTexts(), 'nothing moved under the pointer').toEqual(held)
  await page.getByRole('banner').hover()
  await expect(badge).toBeHidden()
  await expect.poll(() => lines.first().innerText(), 'the stream goes on').not.toBe(held[0])
})

test('history is orange, a live signal arrives green on top', async ({ page }) => {
  const card = page.getByRole('article', { name: 'Unité de temps 1m', exact: true })
  const list = card.getByRole('list', { name: 'Signaux 1m' })
  const history = list.locator('li:not(.live):not(.gap)').first()
  await expect(history).toContainText(/1m \d\d\.\d\d\.\d\d_\d\d:\d\d/)
  expect(isOrange(await colour(history)), 'a row of the database is orange').toBe(true)
  const oldest = (await rows(list)).at(-1)

  const top = list.locator('li').first()
  await expect(top, 'a signal came while we looked').toHaveClass(/live/)
  await expect.poll(async () => isGreen(await colour(top)), 'it is green').toBe(true)
  const shown = await rows(list)
  expect(shown, 'newest first').toEqual(shown.toSorted().reverse())
  expect(shown.length).toBeLessThanOrEqual(60)
  await expect.poll(async () => (await rows(list))[0], 'and the next one takes its place').not.toBe(shown[0])

  await page.reload()
  await expectAlive(page)
  await expect(history, 'what was live is history after a reload').toBeVisible()
  expect(isOrange(await colour(history))).toBe(true)
  expect(oldest).toBeTruthy()
})

test('eight timeframes show their last candle, and the services answer', async ({ page }) => {
  for (const timeframe of ['1m', '3m', '5m', '10m', '15m', '1h', '2h', '4h']) {
    await expect(page.getByRole('article', { name: `Unité de temps ${timeframe}`, exact: true })).toBeVisible()
  }
  const first = page.getByRole('article', { name: 'Unité de temps 1m', exact: true })
  await expect(first.getByRole('definition').first()).toHaveText(/^[\d\s]+,\d+$/)
  await page.getByRole('button', { name: /Heartbeat actif/ }).click()
  const panel = page.getByRole('dialog')
  for (const service of ['Serveur web', 'Heartbeat primaire', 'Moteur de trading', 'Service CCXT', 'PostgreSQL', 'Redis']) {
    await expect(panel.getByRole('row', { name: new RegExp(`${service}.*actif`) })).toBeVisible()
  }
})
