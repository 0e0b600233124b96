import { expect, it } from 'vitest'
import { remainingMs } from './eta'

it('measures the pace from what was seen, not from the start of the work', () => {
  // Opened at 50 %; two seconds later 60 %: 5 % a second, 40 % left.
  expect(remainingMs({ at: 10_000, share: 0.5 }, { at: 12_000, share: 0.6 })).toBeCloseTo(8_000)
})

it('says nothing before it knows the pace', () => {
  expect(remainingMs({ at: 0, share: 0 }, { at: 300, share: 0.2 })).toBeNull()
  expect(remainingMs({ at: 0, share: 0.2 }, { at: 5_000, share: 0.2 })).toBeNull()
})
