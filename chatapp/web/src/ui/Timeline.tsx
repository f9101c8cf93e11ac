import { useEffect, useMemo } from "react";
import type { Room } from "../model";
import { firstNew, layout, type Item } from "../store/layout";
import { activeMembers } from "../store/members";
import { receipt } from "../store/receipts";
import type { RoomState } from "../store/room";
import { newestSeq, type Row } from "../store/timeline";
import { dayName, iso } from "../text/times";
import { useChat, useChatState, useRole } from "./context";
import { DownIcon } from "./icons";
import { MessageRow, moderates, type RowActions } from "./MessageRow";
import { useReading } from "./useReading";
import { useScroll } from "./useScroll";
import { Welcome } from "./Welcome";

type Props = {
  room: Room;
  state: RoomState;
  rows: readonly Row[];
  editing: string | null;
  onEditing: (clientId: string | null) => void;
  onEdit: (row: Row, text: string) => Promise<void>;
  onRemove: (row: Row) => void;
  onRetry: (row: Row) => void;
  onDiscard: (row: Row) => void;
};

/** The messages of a room, the newest at the end. */
export function Timeline({ room, state, rows, editing, onEditing, onEdit, onRemove, onRetry, onDiscard }: Props) {
  const chat = useChat();
  const me = useChatState((s) => s.me);
  const role = useRole(room);
  const general = useChatState((s) => s.general);
  const { box, content, atEnd, toEnd } = useScroll(rows, me.id, () => void chat.loadOlder(room.id));
  const { boundary, missed } = useReading(room.id, rows, atEnd, state.have !== null);

  const actions = useMemo<RowActions>(() => ({
    onEditing, onEdit, onRemove, onRetry, onDiscard,
    typed: (row) => {
      const edit = chat.drafts.edit(room.id);
      return edit?.clientId === row.clientId ? edit.text : row.text;
    },
    onType: (row, text) => chat.drafts.setEdit(room.id, { clientId: row.clientId, text }),
  }), [chat, room.id, onEditing, onEdit, onRemove, onRetry, onDiscard]);

  const items = useMemo(() => layout(rows, firstNew(rows, boundary, me.id)), [rows, boundary, me.id]);
  const read = useMemo(() => receipt(rows, activeMembers(state.members), me.id), [rows, state.members, me.id]);
  const draw = (item: Item) => {
    if (item.kind === "day") return <Day key={item.key} at={item.at} />;
    if (item.kind === "new") return <div key="new" className="new-line" data-testid="new-line" role="separator" aria-label="New messages"><span>New</span></div>;
    const { row } = item;
    return (
      <MessageRow key={item.key} row={row} head={item.head} mine={row.user.id === me.id} mayRemove={moderates(room, role, me.admin)}
        editing={editing === row.clientId} receipt={read?.clientId === row.clientId ? read : null} actions={actions} />
    );
  };

  // A room whose page does not fill the screen cannot be scrolled for more.
  useEffect(() => {
    const view = box.current;
    if (state.more && view && view.scrollHeight <= view.clientHeight) void chat.loadOlder(room.id);
  }, [box, chat, room.id, state.more, rows]);

  return (
    <div className="timeline-frame">
      <div className="timeline" ref={box} role="log" aria-label={`Messages in ${room.name}`} aria-live="polite" tabIndex={0}
        aria-busy={state.have === null} data-testid="timeline">
        <div className="timeline-content" ref={content}>
          {state.have !== null && !state.more && room.id !== general && <Beginning room={room} />}
          {state.more && <p className="quiet loading">Loading older messages…</p>}
          {room.id === general && state.have !== null && !state.more && <Welcome room={room.id} rows={rows} />}
          {items.map(draw)}
        </div>
      </div>
      {!atEnd && (
        <button className={missed > 0 ? "to-end has-new" : "to-end"} data-testid="to-end" onClick={toEnd}
          aria-label={missed > 0 ? `${missed} new messages, go to the end` : "Go to the end"}>
          {missed > 0 && <span>{missed === 1 ? "1 new message" : `${missed} new messages`}</span>}<DownIcon />
        </button>
      )}
      <span className="unseen" data-testid="newest" data-seq={newestSeq(rows)} />
    </div>
  );
}

function Day({ at }: { at: number }) {
  return <div className="day" role="separator" aria-label={dayName(at)}><time dateTime={iso(at)}>{dayName(at)}</time></div>;
}

function Beginning({ room }: { room: Room }) {
  return (
    <div className="beginning">
      <h2>{room.kind === "direct" ? room.name : `#${room.name}`}</h2>
      <p className="quiet">{room.kind === "direct" ? "Only the two of you can read this." : room.kind === "closed" ? "A closed room. Only its members can see it." : "This is where the room begins."}</p>
    </div>
  );
}
