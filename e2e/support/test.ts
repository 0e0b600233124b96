/** The tests' own `test`: every page is watched for foreign requests and for errors of its scripts. */
import { type BrowserContext, test as base, expect, type LaunchOptions, type Page } from '@playwright/test'
import { Api } from './api.ts'
import { BROWSER_OPTIONS } from './browser.ts'
import { instanceUrl } from './instance.ts'

export { expect }
export type { Page }

interface Fixtures {
  api: Api
  /** Every address that the pages asked for, sockets included. */
  addresses: string[]
}

const LOCAL_SCHEMES = new Set(['data:', 'blob:', 'about:'])

/** The addresses that are not on our server. */
export function foreign(addresses: readonly string[]): string[] {
  const host = new URL(instanceUrl()).host
  return addresses.filter((address) => {
    const url = new URL(address)
    return !LOCAL_SCHEMES.has(url.protocol) && url.host !== host
  })
}

function watch(context: BrowserContext, addresses: string[], errors: string[]): void {
  context.on('request', (request) => addresses.push(request.url()))
  context.on('page', (page) => {
    page.on('websocket', (socket) => addresses.push(socket.url()))
    page.on('pageerror', (error) => errors.push(String(error)))
    // What our policy forbids is said in the console: no page may need it.
    page.on('console', (message) => {
      if (/Content.Security.Policy/i.test(message.text())) errors.push(message.text())
    })
  })
}

export const test = base.extend<Fixtures, { launchOptions: LaunchOptions }>({
  baseURL: async ({}, use) => use(instanceUrl()), // eslint-disable-line no-empty-pattern
  launchOptions: [
    async ({}, use) => use({ executablePath: process.env.ARISTOBOT_E2E_CHROMIUM, args: BROWSER_OPTIONS }),
    { scope: 'worker' },
  ],
  addresses: [
    async ({ context }, use) => {
      const addresses: string[] = []
      const errors: string[] = []
      watch(context, addresses, errors)
      await use(addresses)
      expect(foreign(addresses), 'pages ask nobody but our server').toEqual([])
      expect(errors, 'no error in the pages’ scripts').toEqual([])
    },
    { auto: true },
  ],
  api: async ({ page }, use) => use(new Api(page)),
})

/** The status bar at the top of every page. */
export function statusBar(page: Page) {
  return page.getByRole('banner', { name: 'État du système' })
}

/** Waits until the page is alive: logged in, connected, fed by the market. */
export async function expectAlive(page: Page): Promise<void> {
  await expect(statusBar(page)).toContainText('Heartbeat actif')
  await expect(statusBar(page).getByText('Cohérent', { exact: true })).toBeVisible()
}
