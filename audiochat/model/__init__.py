"""AudioChatLlama: speech in the embedding space of a frozen instruct Llama.

Shape letters used in every docstring below here:
B batch, N samples, T frames, F mel bands, D encoder width, K stacked frames, L tokens,
H width of the LLM, V vocabulary.
"""
