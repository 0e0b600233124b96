import { storeToRefs } from 'pinia'
import { computed } from 'vue'
import { usePreferences } from '@/stores/preferences'
import { formatClock, formatDay, formatPrecise, formatStamp, parseStamp, type Instant } from '@/utils/time'

/** Formatters bound to the user's zone; templates that call them follow its changes. */
export function useTime() {
  const { zone } = storeToRefs(usePreferences())
  return {
    zone,
    zoneLabel: computed(() => (zone.value === 'utc' ? 'UTC' : 'heure locale')),
    stamp: (instant: Instant) => formatStamp(instant, zone.value),
    day: (instant: Instant) => formatDay(instant, zone.value),
    clock: (instant: Instant) => formatClock(instant, zone.value),
    precise: (instant: Instant) => formatPrecise(instant, zone.value),
    parse: (text: string) => parseStamp(text, zone.value),
  }
}
