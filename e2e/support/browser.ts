/** The Chromium of the tests: the system's, else the one of an npm package; none is downloaded by Playwright. */
import { existsSync } from 'node:fs'

/** Nothing but the page may use the network, and no sandbox: the tests also run as root in a container. */
export const BROWSER_OPTIONS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const SYSTEM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** The path of a Chromium; `ARISTOBOT_CHROMIUM` names one, or `npm` for the package's. */
export async function chromiumPath(): Promise<string> {
  const wanted = process.env.ARISTOBOT_CHROMIUM
  const found = wanted === 'npm' ? undefined : (wanted ?? SYSTEM.find((path) => existsSync(path)))
  return found ?? unpacked()
}

async function unpacked(): Promise<string> {
  process.env.AWS_LAMBDA_JS_RUNTIME ??= 'nodejs22.x' // makes the package also unpack the libraries that a bare machine lacks
  const { default: chromium } = await import('@sparticuz/chromium')
  chromium.setGraphicsMode = false
  return chromium.executablePath()
}
