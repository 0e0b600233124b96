import { expect, it } from 'vitest'
import type { Order } from '@/api/trading'
import { position, trade } from '@/testing/samples'
import { amendRefusal, filledPercent, formatAverage, holdersOf, orderName, orderStory, protectionOf } from './orders'

const order = (over: Partial<Order> = {}): Order => ({ ...trade(7), type: 'limit', price: '93620', quantity: '0.015', filled_quantity: '0', status: 'open', bot: null, source: 'manual', owner: 'manual', ...over })

it('keeps an average price readable, small ones included', () => {
  expect(formatAverage('47207.177177177177177177')).toBe('47\u202F207,1772')
  expect(formatAverage('0.000001234567891234')).toBe('0,000001235')
  expect(formatAverage('94012.4')).toBe('94\u202F012,4')
  expect(formatAverage(null)).toBe('—')
})

it('writes a type as a sentence wants it', () => {
  expect(orderName(order({ side: 'sell', type: 'oco' }))).toBe('Vente SL + TP BTC/USDT')
  expect(orderName(order({ side: 'sell', type: 'take_profit' }))).toBe('Vente take profit BTC/USDT')
})

it('tells what became of an order', () => {
  expect(orderStory(order()).text).toBe('Achat limite BTC/USDT posé : 0,015 à 93\u202F620')
  expect(orderStory(order({ status: 'filled', filled_quantity: '0.015', average_price: '93620' })).text).toBe('Achat limite BTC/USDT exécuté : 0,015 à 93\u202F620')
  expect(orderStory(order({ status: 'rejected', error_message: 'Ordre refusé par Binance.' }))).toEqual({ text: 'Ordre refusé par Binance.', tone: 'bad' })
  expect(orderStory(order({ status: 'cancelled', error_message: 'remplacé' })).text).toBe('Achat limite BTC/USDT annulé : remplacé')
})

it('tells a replaced order from a cancelled one', () => {
  const old = order({ status: 'cancelled' })
  expect(orderStory(old, [order({ id: 9, replaces: old.id, quantity: '0.03', price: '41900' })]).text).toBe('Achat limite BTC/USDT remplacé : 0,03 à 41\u202F900')
  expect(orderStory(old, [order({ id: 9, replaces: old.id, status: 'rejected' })]).text).toBe('Achat limite BTC/USDT annulé')
  expect(orderStory(old, [order({ id: 9 })]).text).toBe('Achat limite BTC/USDT annulé')
})

it('says why an order cannot be changed', () => {
  expect(amendRefusal(order())).toBeNull()
  expect(amendRefusal(order({ link_id: 'ab' }))).toMatch(/lié/)
  expect(amendRefusal(order({ status: 'unknown' }))).toMatch(/inconnu/)
  expect(amendRefusal(order({ status: 'sending' }))).toMatch(/pas encore posé/)
})

it('never shows an order as whole before it is', () => {
  expect(filledPercent(order({ filled_quantity: '0.014999' }))).toBe(99)
  expect(filledPercent(order({ quantity: '0' }))).toBe(0)
})

it('counts the orders that rest as protection of a position held by hand', () => {
  const held = position({ owner: 'manual', stop_loss: null, take_profit: null })
  const legs = [
    order({ side: 'sell', type: 'stop_loss', price: null, stop_price: '42000' }),
    order({ side: 'sell', type: 'take_profit', price: null, stop_price: '45000' }),
  ]
  expect(protectionOf(held, legs)).toEqual({ stopLoss: '42000', takeProfit: '45000' })
  expect(protectionOf(position({ owner: 'bot:3', stop_loss: null, take_profit: null }), legs)).toEqual({ stopLoss: null, takeProfit: null })
  expect(protectionOf({ ...held, symbol: 'ETH/USDT', stop_loss: '2000' }, legs)).toEqual({ stopLoss: '2000', takeProfit: null })
})

it('never counts the protection of one owner for the position of another', () => {
  const pair = (owner: string, stop: string, take: string, over: Partial<Order> = {}): Order[] => [
    order({ owner, side: 'sell', type: 'stop_loss', price: null, stop_price: stop, ...over }),
    order({ owner, side: 'sell', type: 'take_profit', price: null, stop_price: take, ...over }),
  ]
  const held = position({ owner: 'manual', bot: null, stop_loss: null, take_profit: null })
  const ofBot = pair('bot:3', '42591.11', '45198.73', { source: 'strategy', bot: 3 })
  const ofWebhook = pair('webhook:2', '40100', '46100', { source: 'webhook' })
  expect(protectionOf(held, [...ofBot, ...ofWebhook])).toEqual({ stopLoss: null, takeProfit: null })
  expect(protectionOf(held, [...ofBot, ...pair('manual', '41000', '47000')])).toEqual({ stopLoss: '41000', takeProfit: '47000' })
  expect(protectionOf({ ...held, owner: 'webhook:1' }, ofWebhook)).toEqual({ stopLoss: null, takeProfit: null })
  expect(protectionOf(held, pair('manual', '41000', '47000', { broker: 2 }))).toEqual({ stopLoss: null, takeProfit: null })
  expect(holdersOf(held, [...ofBot, ...ofWebhook])).toEqual([])
})
