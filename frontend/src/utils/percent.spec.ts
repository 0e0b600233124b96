import { expect, it } from 'vitest'
import { fieldToRatio, ratioToField } from './percent'

it.each([['0.0010', '0,1'], ['0.0005', '0,05'], ['1', '100'], ['0', '0'], ['0.00075', '0,075'], ['', '']])('shows the ratio %s as %s %%', (ratio, shown) => {
  expect(ratioToField(ratio)).toBe(shown)
})

it.each([['0,1', '0.001'], ['0,05', '0.0005'], ['100', '1'], ['12.5', '0.125'], ['0', '0'], ['1 000', '10'], ['beaucoup', null], ['', null]])('reads %s %% as %s', (typed, ratio) => {
  expect(fieldToRatio(typed)).toBe(ratio)
})
