export { type AnswerComparison, type AnsweredRow, compareAnswers } from './compare-answers.js';
export { type CompareFacts, compareHtml, compareMarkdown, compareText, verdictSentence } from './report.js';
export { type AskedRow, conversationText, readSavedAnswers, type SavedAnswers } from './saved-answers.js';
