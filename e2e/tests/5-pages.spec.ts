/** Every page, in both themes and three widths: photographed, nothing beside the screen, nothing unformatted. */
import { join } from 'node:path'
import { RESULTS } from '../support/instance.ts'
import { expect, expectAlive, foreign, type Page, test } from '../support/test.ts'

const PAGES = ['heartbeat', 'trading', 'bots', 'strategies', 'backtest', 'webhooks', 'stats', 'account']
const THEMES = ['dark', 'light']
const SIZES = [
  { width: 1280, height: 800 },
  { width: 1920, height: 1080 },
  { width: 2560, height: 1440 },
]

async function photograph(page: Page, name: string): Promise<void> {
  for (const size of SIZES) {
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
  expect(text).not.toMatch(/\b(NaN|undefined|null|Infinity)\b|\[object |\d{4}-\d\d-\d\dT\d\d:/)
}

for (const theme of THEMES) {
  test(`login, ${theme}`, async ({ page }) => {
    await page.goto('/login')
    await wear(page, theme)
    await page.reload()
    await expect(page.getByRole('button', { name: 'Se connecter' })).toBeVisible()
    await photograph(page, `login-${theme}`)
    await page.getByRole('button', { name: 'Nouveau compte' }).click()
    await expect(page.getByRole('dialog')).toBeVisible()
    await photograph(page, `register-${theme}`)
  })

  test(`the eight pages, ${theme}`, async ({ addresses, api, page }) => {
    await api.login('dac')
    await page.goto('/account')
    await expectAlive(page)
    await page.getByRole('button', { name: theme === 'dark' ? 'Sombre' : 'Clair', exact: true }).click()
    await expect(page.locator('html')).toHaveAttribute('data-theme', theme)
    for (const name of PAGES) {
      await page.goto(`/${name}`)
      await expectAlive(page)
      await expect(page.locator('main [aria-busy="true"], main .skeleton')).toHaveCount(0)
      await expectNoRawValue(page)
      await photograph(page, `${name}-${theme}`)
    }
    expect(addresses.length).toBeGreaterThan(30)
    expect(addresses.some((address) => address.startsWith('ws:'))).toBe(true)
    expect(foreign(addresses)).toEqual([])
  })
}
