import { chromiumPath } from './browser.ts'
import { startInstance } from './instance.ts'

/**
 * Runs once before the tests; what it returns runs after them, whether they passed or not.
 *
 * While writing a test, `ARISTOBOT_E2E_URL` and `ARISTOBOT_E2E_DATA` name an instance that already runs.
 */
export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  process.env.ARISTOBOT_E2E_CHROMIUM = await chromiumPath()
  if (process.env.ARISTOBOT_E2E_URL) return undefined
  return startInstance()
}
