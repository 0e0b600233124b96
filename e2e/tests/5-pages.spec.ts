/** Every page, in both themes and three widths: photographed, nothing beside the screen, nothing unformatted. */
import { join } from 'node:path'
import { type Api, botBody, BROKEN, BUY_AND_HOLD, EVERY_CLOSE, stopBots, strategyId } from '../support/api.ts'
import { RESULTS } from '../support/instance.ts'
import { expect, expectAlive, foreign, type Page, test } from '../support/test.ts'

const PAGES = {
  heartbeat: 'Heartbeat',
  trading: 'Trading manuel',
  bots: 'Trading BOT',
  strategies: 'Stratégies',
  backtest: 'Backtest',
  webhooks: 'Webhooks',
  stats: 'Statistiques',
  account: 'Mon Compte',
}
const THEMES = ['dark', 'light']
const SIZES = [
  { width: 1280, height: 800 },
  { width: 1920, height: 1080 },
  { width: 2560, height: 1440 },
]

async function photograph(page: Page, name: string, sizes = SIZES): Promise<void> {
  for (const size of sizes) {
    await page.setViewportSize(size)
    const label = `${name}-${size.width}`
    await expect
      .poll(() => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), `${label} fits in the width`)
      .toBeLessThanOrEqual(0)
    await page.screenshot({ path: join(RESULTS, 'screens', `${label}.png`), animations: 'disabled', fullPage: true })
  }
}

async function wear(page: Page, theme: string): Promise<void> {
  await page.evaluate((name) => localStorage.setItem('aristobot.theme', name), theme)
}

async function expectNoRawValue(page: Page): Promise<void> {
  const text = await page.locator('body').innerText()
  expect(text).not.toMatch(/\b(NaN|undefined|null|Infinity)\b|\[object |\d{4}-\d\d-\d\dT\d\d:|,\d{9}/)
}

/** Bots in each state: trading, holding a position, waiting for a signal, paused by an error. */
async function fillDesk(api: Api): Promise<void> {
  await stopBots(api)
  const names = [[EVERY_CLOSE.name, EVERY_CLOSE], [BUY_AND_HOLD.name, BUY_AND_HOLD], [BROKEN.name, BROKEN], ['EMA']] as const
  for (const [name, strategy] of names) {
    const id = await strategyId(api, name, strategy)
    await api.post('/api/bots/', await botBody(api, id, 'BTC/USDT'))
  }
}

test('a strategy that raises pauses its bot alone, with its traceback; another is suspended by hand', async ({ api, page }) => {
  await api.login('dac')
  await fillDesk(api)
  await page.goto('/bots')
  const card = page.getByRole('article', { name: `${BROKEN.name}, BTC/USDT` }).first()
  await expect(card.getByText('En pause sur erreur')).toBeVisible({ timeout: 60_000 })
  await expect(card.getByLabel('Trace de l’erreur')).toContainText('ZeroDivisionError')
  const neighbour = page.getByRole('article', { name: `${EVERY_CLOSE.name}, BTC/USDT` }).first()
  await expect(neighbour.getByRole('row', { name: /Vente/ }).first(), 'its neighbours go on').toBeVisible({ timeout: 60_000 })
  await neighbour.getByRole('button', { name: 'Suspendre' }).click()
  await expect(neighbour.getByText('Suspendu', { exact: true })).toBeVisible()
  await expect(neighbour.getByRole('button', { name: 'Reprendre' })).toBeVisible()
})

for (const theme of THEMES) {
  test(`login, ${theme}`, async ({ page }) => {
    await page.goto('/login')
    await wear(page, theme)
    await page.reload()
    await expect(page.getByRole('button', { name: 'Se connecter' })).toBeVisible()
    await photograph(page, `login-${theme}`)
    await page.getByRole('button', { name: 'Nouveau compte' }).click()
    await expect(page.getByRole('dialog')).toBeVisible()
    await photograph(page, `register-${theme}`, SIZES.slice(0, 1))
  })

  test(`the eight pages, ${theme}`, async ({ addresses, api, page }) => {
    test.setTimeout(300_000)
    await api.login('dac')
    await page.goto('/account')
    await expectAlive(page)
    await page.getByRole('button', { name: theme === 'dark' ? 'Sombre' : 'Clair', exact: true }).click()
    await expect(page.locator('html')).toHaveAttribute('data-theme', theme)
    for (const [name, label] of Object.entries(PAGES)) {
      await page.getByRole('navigation', { name: 'Menu principal' }).getByRole('link', { name: label }).click()
      await expect(page).toHaveURL(new RegExp(`/${name}$`))
      await expect(page).toHaveTitle(`${label} — Aristobot3`)
      await expectAlive(page)
      await expect(page.locator('main [aria-busy="true"], main .skeleton')).toHaveCount(0)
      await expectNoRawValue(page)
      await photograph(page, `${name}-${theme}`)
    }
    expect(addresses.length).toBeGreaterThan(15)
    expect(addresses.some((address) => address.startsWith('ws:'))).toBe(true)
    expect(foreign(addresses)).toEqual([])
  })
}
