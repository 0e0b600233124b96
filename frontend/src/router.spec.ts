import { expect, it } from 'vitest'
import { makeRouter } from './router'

it.each([
  ['/trading', 'trading'],
  ['/tradnig', 'unknown'],
  ['/stats/2026', 'unknown'],
  ['/login', 'login'],
])('%s is the page %s', (path, name) => expect(makeRouter().resolve(path).name).toBe(name))
