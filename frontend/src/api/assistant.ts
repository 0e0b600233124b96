/** The AI assistant: its provider's settings (backend app `accounts`), its answers (`strategies`). */
import { answer, answerLines, api, type Schemas } from './client'

export type AssistantSettings = Schemas['AssistantSettings']
export type AssistantChange = Schemas['PatchedAssistantChangeRequest']
export type AiModel = Schemas['AiModel']
export type ProviderTest = Schemas['ProviderTest']
export type ProviderName = Schemas['AiProviderRequest']['provider']

export const fetchAssistant = (): Promise<AssistantSettings> => answer(api.GET('/api/assistant/settings/'))
export const changeAssistant = (body: AssistantChange): Promise<AssistantSettings> => answer(api.PATCH('/api/assistant/settings/', { body }))
export const fetchModels = (provider: ProviderName): Promise<AiModel[]> =>
  answer(api.GET('/api/assistant/models/', { params: { query: { provider } } }))
export const testProvider = (provider: ProviderName): Promise<ProviderTest> => answer(api.POST('/api/assistant/test/', { body: { provider } }))

export type AssistantRequest = Schemas['AssistantRequestRequest']
export type AssistantMode = AssistantRequest['task']
export type AssistantEvent = Schemas['AssistantEvent']

/** Asks the assistant; its events come as they happen, until `done` or `error`. */
export const askAssistant = (body: AssistantRequest, signal: AbortSignal): AsyncGenerator<AssistantEvent> =>
  answerLines('/api/assistant/generate/', body, signal)
