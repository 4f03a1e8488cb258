%% Frames to bytes and back (docs/emqx-link.md, "Frames" and "All frames"). No process, no state, nothing of EMQX.
%%
%% A frame is a tuple that begins with its name; encode/1 makes the bytes of those that the node sends, decode/1 reads
%% those that the engine sends. Both are without the length in front. `<<N:16, Text:N/binary>>` is Erlang for "a u16 N,
%% then N bytes".
-module(emqx_omp_frames).

-export([encode/1, decode/1, prove/2, name/1]).
-export_type([frame/0, message/0, subscription/0, answer/0]).

-type message() :: #{
    id := <<_:128>>,
    timestamp := non_neg_integer(),
    qos := 0..2,
    retain := boolean(),
    from := binary(),
    topic := binary(),
    payload := binary(),
    %% As EMQX has them: 'Content-Type', 'User-Property' ...
    properties := #{atom() => term()}
}.
-type subscription() :: #{
    filter := binary(), qos := 0..2, nl := boolean(), rap := boolean(), rh := 0..2, id := non_neg_integer()
}.
-type answer() ::
    pass
    | {stored, Number :: non_neg_integer(), Report :: boolean()}
    | {refused, Temporary :: boolean(), Acknowledge :: boolean(), ReasonCode :: byte(), Delay :: 0..10000}.
-type frame() :: tuple() | pong.

%% Bytes that a frame from the node has, for each frame that there is.
-spec encode(frame()) -> iodata().
encode({hello, Index, Number, Instance, Nonce, Node, Emqx, Plugin}) ->
    [<<16#01, "OMPL", 1, 1, Index, Number, Instance:16/binary, Nonce:32/binary>>, text(Node), text(Emqx), text(Plugin)];
encode({proof, Proof}) ->
    <<16#03, Proof:32/binary>>;
encode({connected, Session, Flags, Version, ReceiveMaximum, MaximumPacket, At, ClientId, Subscriptions, Held}) ->
    [
        <<16#10, Session:64, (flags(Flags)), Version, ReceiveMaximum:16, MaximumPacket:32, At:64>>,
        text(ClientId),
        list([[<<Gate:32>>, subscription(Subscription)] || {Gate, Subscription} <- Subscriptions]),
        list([[Id, text(Topic)] || {Id, Topic} <- Held])
    ];
encode({disconnected, Session, LivesOn}) ->
    <<16#11, Session:64, (flags([LivesOn]))>>;
encode({ended, Session}) ->
    <<16#12, Session:64>>;
encode({subscribed, Session, IsNew, Gate, Subscription}) ->
    [<<16#13, Session:64, (flags([IsNew])), Gate:32>>, subscription(Subscription)];
encode({unsubscribed, Session, Filter}) ->
    [<<16#14, Session:64>>, text(Filter)];
encode({acked, Session, Id, Topic}) ->
    [<<16#15, Session:64, Id:16/binary>>, text(Topic)];
encode({delivered, Session, QoS, Retained, Replayed, Id, Topic}) ->
    [<<16#16, Session:64, (QoS bor (flags([Retained, Replayed]) bsl 2)), Id:16/binary>>, text(Topic)];
encode({dropped, Session, Reason, Id, Topic}) ->
    [<<16#17, Session:64, (dropped(Reason)), Id:16/binary>>, text(Topic)];
encode({missed, Session, Filter, Above, UpTo}) ->
    [<<16#18, Session:64>>, text(Filter), <<Above:64, UpTo:64>>];
encode({lost, Session, Ids}) ->
    [<<16#1a, Session:64>>, list(Ids)];
encode({publish, Request, IsRouted, Message}) ->
    [<<16#20, Request:32, (flags([IsRouted]))>>, message(Message)];
encode({not_routed, Id, Topic}) ->
    [<<16#21, Id:16/binary>>, text(Topic)];
encode({configure, Request, Json}) ->
    [<<16#30, Request:32>>, bytes(Json)];
encode({ping, Answered}) ->
    <<16#40, Answered:64>>.

%% What is longer is no text of MQTT: an error of the caller.
text(Text) when byte_size(Text) < 65536 -> [<<(byte_size(Text)):16>>, Text].

bytes(Bytes) -> [<<(iolist_size(Bytes)):32>>, Bytes].

list(Entries) -> [<<(length(Entries)):32>>, Entries].

%% The first is bit 0.
flags(Bits) -> lists:foldr(fun(Bit, Flags) -> Flags * 2 + bit(Bit) end, 0, Bits).

bit(true) -> 1;
bit(false) -> 0.

dropped(queue_full) -> 1;
dropped(away) -> 2;
dropped(no_local) -> 3;
dropped(expired) -> 4;
dropped(no_session) -> 5;
dropped(gate_closed) -> 6;
dropped(_) -> 255.

subscription(#{filter := Filter, qos := QoS, nl := NoLocal, rap := AsPublished, rh := Handling, id := Id}) ->
    [text(Filter), <<(QoS bor (flags([NoLocal, AsPublished]) bsl 2) bor (Handling bsl 4)), Id:32>>].

message(#{id := Id, timestamp := At, qos := QoS, retain := Retain, from := From, topic := Topic} = Message) ->
    #{payload := Payload, properties := Properties} = Message,
    [
        <<Id:16/binary, At:64, (QoS bor (bit(Retain) bsl 2))>>,
        [text(From), text(Topic), bytes(Payload)],
        properties(Properties)
    ].

%% In the order of their bits.
-define(PROPERTIES, [
    'Payload-Format-Indicator',
    'Message-Expiry-Interval',
    'Content-Type',
    'Response-Topic',
    'Correlation-Data',
    'User-Property'
]).

properties(Properties) ->
    Flags = flags([is_map_key(Name, Properties) || Name <- ?PROPERTIES]),
    [Flags | [property(Name, map_get(Name, Properties)) || Name <- ?PROPERTIES, is_map_key(Name, Properties)]].

property('Payload-Format-Indicator', Value) -> <<Value>>;
property('Message-Expiry-Interval', Value) -> <<Value:32>>;
property('User-Property', Pairs) -> list([[text(Name), text(Value)] || {Name, Value} <- Pairs]);
property(_, Text) -> text(Text).

%% A frame of the engine, or in words what is wrong with it.
-spec decode(binary()) -> {ok, frame()} | {error, binary()}.
decode(<<Opcode, Fields/binary>>) ->
    try
        {ok, fields(Opcode, Fields)}
    catch
        throw:Problem -> {error, iolist_to_binary([name(Opcode), ": ", Problem])}
    end;
decode(<<>>) ->
    {error, <<"a frame without an opcode">>}.

fields(16#02, <<"OMPL", Version, Instance:16/binary, Nonce:32/binary>>) ->
    {challenge, Version, Instance, Nonce};
fields(16#04, <<Proof:32/binary, Longest:32, Window:32, Bytes:32, Heartbeat:16, N:16, Version:N/binary>>) ->
    {welcome, Proof, Longest, Window, Bytes, Heartbeat, utf8(Version)};
fields(16#05, <<Reason, N:16, Text:N/binary>>) ->
    {refuse, Reason, utf8(Text)};
fields(16#50, <<Count:32, Answers/binary>>) when Count =< 1024 ->
    {answers, answers(Count, Answers)};
fields(16#51, <<Session:64, N:16, Filter:N/binary, Flags, Message/binary>>) ->
    %% A copy: a small payload in a client's queue must not keep the whole read in memory of which it is a part.
    {deliver, Session, utf8(Filter), is_set(Flags, 0), read_message(binary:copy(Message))};
fields(16#52, <<Session:64, N:16, Filter:N/binary, Gate:32, Number:64>>) ->
    {live, Session, utf8(Filter), Gate, Number};
fields(16#53, <<Session:64, N:16, Filter:N/binary, Flags, Id:32>>) ->
    {restore, Session, #{
        filter => utf8(Filter),
        qos => qos(Flags),
        nl => is_set(Flags, 2),
        rap => is_set(Flags, 3),
        rh => handling((Flags bsr 4) band 3),
        id => Id
    }};
fields(16#54, <<Session:64, Number:64>>) ->
    {release, Session, Number};
fields(16#56, <<Session:64, Flags, Count:32, Ids:(16 * Count)/binary>>) ->
    {check, Session, is_set(Flags, 0), [Id || <<Id:16/binary>> <= Ids]};
fields(16#60, <<Request:32, Well, N:16, Text:N/binary>>) when Well =< 1 ->
    {configured, Request, Well =:= 1, utf8(Text)};
fields(16#61, <<Count:32, Rest/binary>>) ->
    {Filters, <<Flags, Timeout:32>>} = texts(Count, Rest, []),
    {settings, #{
        filters => Filters,
        ignores => is_set(Flags, 0),
        is_async => is_set(Flags, 1),
        acknowledges => is_set(Flags, 2),
        timeout => Timeout
    }};
fields(16#62, <<Well, N:16, Text:N/binary>>) when Well =< 1 ->
    {health, Well =:= 1, utf8(Text)};
fields(16#70, <<>>) ->
    pong;
fields(16#71, <<N:16, Text:N/binary>>) ->
    {goodbye, utf8(Text)};
fields(Opcode, _) ->
    case name(Opcode) of
        <<"opcode", _/binary>> -> throw("not known in this version");
        _ -> throw(malformed())
    end.

malformed() -> "too short, too long, or with a value that cannot be".

is_set(Flags, Bit) -> (Flags bsr Bit) band 1 =:= 1.

qos(Flags) when Flags band 3 =:= 3 -> throw("QoS 3");
qos(Flags) -> Flags band 3.

handling(3) -> throw("Retain Handling 3");
handling(Handling) -> Handling.

utf8(Text) ->
    case unicode:characters_to_binary(Text) of
        Text -> Text;
        _ -> throw("a text that is no UTF-8")
    end.

texts(0, Rest, Texts) when byte_size(Rest) =:= 5 -> {lists:reverse(Texts), Rest};
texts(N, <<L:16, Text:L/binary, Rest/binary>>, Texts) when N > 0 -> texts(N - 1, Rest, [utf8(Text) | Texts]);
texts(_, _, _) -> throw(malformed()).

answers(0, <<>>) ->
    [];
answers(Count, <<Request:32, 0, Rest/binary>>) when Count > 0 ->
    [{Request, pass} | answers(Count - 1, Rest)];
answers(Count, <<Request:32, 1, Number:64, Flags, Rest/binary>>) when Count > 0 ->
    [{Request, {stored, Number, is_set(Flags, 0)}} | answers(Count - 1, Rest)];
answers(Count, <<Request:32, 2, Flags, Code, Delay:16, Rest/binary>>) when Count > 0, Delay =< 10000 ->
    [{Request, {refused, is_set(Flags, 0), is_set(Flags, 1), Code, Delay}} | answers(Count - 1, Rest)];
answers(_, _) ->
    throw(malformed()).

read_message(
    <<Id:16/binary, At:64, Flags, F:16, From:F/binary, T:16, Topic:T/binary, P:32, Payload:P/binary, Rest/binary>>
) ->
    #{
        id => Id,
        timestamp => At,
        qos => qos(Flags),
        retain => is_set(Flags, 2),
        from => utf8(From),
        topic => utf8(Topic),
        payload => Payload,
        properties => read_properties(Rest)
    };
read_message(_) ->
    throw(malformed()).

read_properties(<<Flags, Rest/binary>>) ->
    Present = [Name || {Name, Bit} <- lists:zip(?PROPERTIES, lists:seq(0, 5)), is_set(Flags, Bit)],
    case lists:foldl(fun read_property/2, {#{}, Rest}, Present) of
        {Properties, <<>>} -> Properties;
        _ -> throw(malformed())
    end;
read_properties(_) ->
    throw(malformed()).

read_property('Payload-Format-Indicator' = Name, {Properties, <<Value, Rest/binary>>}) ->
    {Properties#{Name => Value}, Rest};
read_property('Message-Expiry-Interval' = Name, {Properties, <<Value:32, Rest/binary>>}) ->
    {Properties#{Name => Value}, Rest};
read_property('User-Property' = Name, {Properties, <<Count:32, Rest/binary>>}) ->
    {Pairs, Left} = pairs(Count, Rest, []),
    {Properties#{Name => Pairs}, Left};
read_property('Correlation-Data' = Name, {Properties, <<N:16, Data:N/binary, Rest/binary>>}) ->
    {Properties#{Name => Data}, Rest};
read_property(Name, {Properties, <<N:16, Text:N/binary, Rest/binary>>}) when
    Name =:= 'Content-Type'; Name =:= 'Response-Topic'
->
    {Properties#{Name => utf8(Text)}, Rest};
read_property(_, _) ->
    throw(malformed()).

pairs(0, Rest, Pairs) ->
    {lists:reverse(Pairs), Rest};
pairs(Count, <<N:16, Name:N/binary, V:16, Value:V/binary, Rest/binary>>, Pairs) ->
    pairs(Count - 1, Rest, [{utf8(Name), utf8(Value)} | Pairs]);
pairs(_, _, _) ->
    throw(malformed()).

%% What a frame is called in a log.
-spec name(byte()) -> binary().
name(16#02) -> <<"CHALLENGE">>;
name(16#04) -> <<"WELCOME">>;
name(16#05) -> <<"REFUSE">>;
name(16#50) -> <<"ANSWERS">>;
name(16#51) -> <<"DELIVER">>;
name(16#52) -> <<"LIVE">>;
name(16#53) -> <<"RESTORE">>;
name(16#54) -> <<"RELEASE">>;
name(16#56) -> <<"CHECK">>;
name(16#60) -> <<"CONFIGURED">>;
name(16#61) -> <<"SETTINGS">>;
name(16#62) -> <<"HEALTH">>;
name(16#70) -> <<"PONG">>;
name(16#71) -> <<"GOODBYE">>;
name(Opcode) -> iolist_to_binary(io_lib:format("opcode 0x~2.16.0b", [Opcode])).

%% The proof of a side that it has the secret: over the frames that went to and fro before it (as iodata).
-spec prove({node | engine, iodata()}, binary()) -> <<_:256>>.
prove({Side, Frames}, Secret) ->
    crypto:mac(hmac, sha256, Secret, ["omp-link ", atom_to_binary(Side), 0, Frames]).
