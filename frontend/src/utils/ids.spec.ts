import { expect, it, vi } from 'vitest'
import { newId } from './ids'

it('makes UUIDs of version 4 where the page is not secure', () => {
  vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) })
  const [one, two] = [newId(), newId()]
  expect(one).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(one).not.toBe(two)
  vi.unstubAllGlobals()
})
