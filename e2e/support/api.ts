/** What a test prepares through the API instead of by hand, in the page's own session. */
import { type APIResponse, expect, type Page } from '@playwright/test'
import { instanceUrl, PASSWORD } from './instance.ts'

/** A session that speaks to the API with the page's cookies. */
export class Api {
  constructor(private readonly page: Page) {}

  /** GET, and the parsed answer. */
  async get<T>(path: string): Promise<T> {
    return this.answer<T>(await this.page.request.get(instanceUrl() + path))
  }

  /** POST with the CSRF token, and the answer as it is (for refusals). */
  async tryPost(path: string, body: object): Promise<APIResponse> {
    const cookies = await this.page.context().cookies()
    const token = cookies.find((cookie) => cookie.name === 'csrftoken')?.value ?? ''
    return this.page.request.post(instanceUrl() + path, { data: body, headers: { 'X-CSRFToken': token } })
  }

  /** POST that must succeed, and the parsed answer. */
  async post<T>(path: string, body: object): Promise<T> {
    return this.answer<T>(await this.tryPost(path, body))
  }

  /** Logs in without the login page. */
  async login(username: string): Promise<void> {
    await this.get('/api/session/')
    await this.post('/api/session/login/', { username, password: PASSWORD })
  }

  private async answer<T>(response: APIResponse): Promise<T> {
    const text = await response.text()
    expect(response.ok(), `${response.url()}: ${response.status()} ${text.slice(0, 500)}`).toBe(true)
    return (text ? JSON.parse(text) : null) as T
  }
}

/** Buys when flat, sells when long: a trade at each close, whatever the market does. */
export const EVERY_CLOSE = {
  name: 'À chaque clôture',
  description: 'Achète sans position, vend avec.',
  timeframe: '1m',
  code: strategy('AChaqueCloture', 'self.position is not None'),
}

/** Buys at the first close and never sells: its position stays open. */
export const BUY_AND_HOLD = {
  name: 'Acheter et garder',
  description: 'Achète une fois, ne vend jamais.',
  timeframe: '1m',
  code: strategy('AcheterEtGarder', 'False'),
}

function strategy(name: string, sells: string): string {
  return `class ${name}(Strategy):
    def __init__(self, candles, balance, position=None):
        self.balance = balance
        self.position = position

    def should_long(self) -> bool:
        return True

    def should_short(self) -> bool:
        return ${sells}

    def calculate_position_size(self) -> float:
        return self.balance * 0.5

    def calculate_stop_loss(self) -> float:
        return 0.0

    def calculate_take_profit(self) -> float:
        return 0.0
`
}
