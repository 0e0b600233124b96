/** The manual terminal as a person sees it. */
import { expect, type Locator, type Page } from '@playwright/test'
import type { Api } from './api.ts'
import { exchangeOrders, type ExchangeOrder } from './exchange.ts'

interface Trade {
  id: number
  client_order_id: string
  source: string
}

/** What is written on the page, as a plain decimal: `47 207,10` is `47207.10`. */
export function decimal(text: string): string {
  const found = /[\d\s\u00A0\u202F]*\d(?:,\d+)?/.exec(text)?.[0] ?? ''
  return found.replace(/[\s\u00A0\u202F]/g, '').replace(',', '.')
}

/** The same amount without the zeros that say nothing, so that texts can be compared exactly. */
export function plain(amount: string): string {
  const short = amount.includes('.') ? amount.replace(/0+$/, '').replace(/\.$/, '') : amount
  return short.replace(/^0+(?=\d)/, '')
}

export class Terminal {
  readonly ticket: Locator
  readonly orders: Locator
  readonly status: Locator
  readonly summary: Locator

  constructor(
    readonly page: Page,
    private readonly api: Api,
  ) {
    this.ticket = page.getByRole('region', { name: 'Passer un ordre' })
    this.orders = page.getByRole('region', { name: 'Ordres et positions' })
    this.status = page.locator('#validation-status')
    this.summary = page.locator('#trade-summary')
  }

  async open(): Promise<void> {
    await this.page.goto('/trading')
    await expect(this.page.getByRole('img', { name: /Bougies BTC\/USDT/ })).toBeVisible()
    await expect(this.page.getByText('En direct'), 'the book lives').toBeVisible()
  }

  /** The price in the middle of the book, as a plain decimal. */
  async last(): Promise<string> {
    const shown = this.page.getByRole('region', { name: 'Carnet' }).locator('.mid b')
    await expect(shown).toHaveText(/\d/)
    return decimal(await shown.innerText())
  }

  async write(type: string, side: 'Achat' | 'Vente', fields: Record<string, string>): Promise<void> {
    await this.ticket.getByRole('button', { name: type, exact: true }).click()
    await this.ticket.getByRole('button', { name: side, exact: true }).click()
    for (const [label, value] of Object.entries(fields)) await this.ticket.getByLabel(label, { exact: true }).fill(value)
  }

  async validate(): Promise<void> {
    await expect(this.ticket.getByRole('button', { name: 'Valider' })).toBeEnabled()
    await this.ticket.getByRole('button', { name: 'Valider' }).click()
    await expect(this.status).toContainText('Validé')
  }

  /** Executes what is validated; returns the number of the order, or of the pair's orders. */
  async execute(): Promise<number[]> {
    await this.ticket.getByRole('button', { name: /^Exécuter/ }).click()
    await expect(this.status).toContainText(/Ordres? n° \d/, { timeout: 60_000 })
    return [...(await this.status.innerText()).matchAll(/\d+/g)].map(([number]) => Number(number))
  }

  async tab(name: RegExp): Promise<void> {
    await this.orders.getByRole('tab', { name }).click()
  }

  row(id: number): Locator {
    return this.orders.locator(`tr[data-order="${id}"]`)
  }

  async trade(id: number): Promise<Trade> {
    const { results } = await this.api.get<{ results: Trade[] }>('/api/trades/?limit=200')
    const found = results.find((one) => one.id === id)
    if (!found) throw new Error(`no trade ${id}`)
    return found
  }

  /** The orders that the exchange knows under this trade's name: none or one, never two. */
  async atExchange(id: number): Promise<ExchangeOrder[]> {
    const { client_order_id: name } = await this.trade(id)
    return (await exchangeOrders()).filter((order) => order.clientOrderId === name)
  }
}
