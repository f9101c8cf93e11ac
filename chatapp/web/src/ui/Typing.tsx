import { useChatState, useRoomState } from "./context";
import { typingLine } from "../store/typing";

/** Who is typing. Its line keeps its height, so that nothing jumps. */
export function Typing({ room }: { room: string }) {
  const ids = useChatState((state) => state.typing);
  const { members } = useRoomState(room);
  const names = ids.map((id) => members.get(id)?.user.name ?? "Somebody");
  return (
    <div className="typing" aria-live="polite" data-testid="typing">
      {names.length > 0 && <><span className="typing-dots" aria-hidden="true"><i /><i /><i /></span>{typingLine(names)}</>}
    </div>
  );
}
