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
    return this.page.request.post(instanceUrl() + path, await this.sent(body))
  }

  /** PATCH that must succeed, and the parsed answer. */
  async patch<T>(path: string, body: object): Promise<T> {
    return this.answer<T>(await this.page.request.patch(instanceUrl() + path, await this.sent(body)))
  }

  private async sent(body: object): Promise<{ data: object; headers: Record<string, string> }> {
    const cookies = await this.page.context().cookies()
    const token = cookies.find((cookie) => cookie.name === 'csrftoken')?.value ?? ''
    return { data: body, headers: { 'X-CSRFToken': token } }
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

/** Raises at its first evaluation: the bot must pause and show why. */
export const BROKEN = {
  name: 'Division par zéro',
  description: 'Lève une erreur à la première évaluation.',
  timeframe: '1m',
  code: strategy('DivisionParZero', '1 / 0 > 0', '1 / 0 > 0'),
}

interface Listed<T> {
  results: T[]
}

interface Strategy {
  name: string
  description: string
  timeframe: string
  code: string
}

/** The strategy's number; it is created when the account has none of that name. */
export async function strategyId(api: Api, name: string, strategy?: Strategy): Promise<number> {
  const { results } = await api.get<Listed<{ id: number; name: string }>>('/api/strategies/')
  const known = results.find((one) => one.name.includes(name))
  if (known) return known.id
  if (!strategy) throw new Error(`no strategy « ${name} »`)
  return (await api.post<{ id: number }>('/api/strategies/', strategy)).id
}

/** What activates a bot at any date of the market, on the account's Simulateur. */
export async function botBody(api: Api, strategy: number, symbol: string): Promise<object> {
  const { results } = await api.get<Listed<{ id: number; exchange: string }>>('/api/brokers/')
  const broker = results.find((one) => one.exchange === 'simex')?.id
  const dates = { start_date: '2001-01-01T00:00:00Z', end_date: '2099-01-01T00:00:00Z' }
  return { strategy, broker, symbol, timeframe: '1m', amount: '1000', is_active: true, confirm_duplicate: true, ...dates }
}

/** Stops every bot of the account, so that a test starts from an empty page. */
export async function stopBots(api: Api): Promise<void> {
  const { results } = await api.get<Listed<{ id: number; state: string }>>('/api/bots/')
  for (const bot of results.filter((one) => one.state !== 'stopped')) await api.post(`/api/bots/${bot.id}/stop/`, { confirm: true })
}

function strategy(name: string, sells: string, buys = 'True'): string {
  return `class ${name}(Strategy):
    def __init__(self, candles, balance, position=None):
        self.balance = balance
        self.position = position

    def should_long(self) -> bool:
        return ${buys}

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
